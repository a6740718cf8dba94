"use strict";
// Reads a QR code with the camera where the browser can do both; elsewhere its button never shows. Pictures stay in the
// browser: only the text of the code is sent, by the form that is there without it.
const box = document.querySelector("[data-scan]");
if (box && window.isSecureContext && "BarcodeDetector" in window && navigator.mediaDevices?.getUserMedia) {
  const [start, stop] = ["start", "stop"].map((name) => box.querySelector(`[data-scan-${name}]`));
  const video = box.querySelector("video");
  const said = box.querySelector("[data-scan-said]");
  const EVERY_MS = 250;
  const LONGEST_MS = 90000;
  let stream = null;
  let run = 0;

  const say = (name) => { said.textContent = box.dataset[name] ?? ""; };
  const release = () => {
    run += 1;
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.srcObject = null;
    video.hidden = stop.hidden = true;
    start.hidden = false;
  };
  const end = (name) => {
    const held = box.contains(document.activeElement);
    release();
    say(name);
    if (held) start.focus();
  };
  const send = (text) => {
    end("found");
    const form = document.getElementById("by-text");
    form.elements.text.value = text;
    form.requestSubmit();
  };
  const look = async (detector, mine, until) => {
    while (mine === run) {
      const found = await detector.detect(video).catch(() => []);
      if (mine !== run) return;
      const text = found.map((one) => one.rawValue.trim()).find(Boolean);
      if (text) return send(text);
      if (performance.now() > until) return end("ended");
      await new Promise((resume) => setTimeout(resume, EVERY_MS));
    }
  };
  const begin = async () => {
    const mine = (run += 1);
    start.hidden = true;
    stop.hidden = false;
    stop.focus();
    say("starting");
    try {
      const opened = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: "environment" } });
      if (mine !== run) return opened.getTracks().forEach((track) => track.stop());
      stream = opened;
      video.srcObject = opened;
      video.hidden = false;
      await video.play();
      if (mine !== run) return;
      say("looking");
      await look(new BarcodeDetector({ formats: ["qr_code"] }), mine, performance.now() + LONGEST_MS);
    } catch {
      if (mine === run) end("refused");
    }
  };
  BarcodeDetector.getSupportedFormats().then((formats) => { box.hidden = !formats.includes("qr_code"); }, () => {});
  start.addEventListener("click", begin);
  stop.addEventListener("click", () => end("ended"));
  box.addEventListener("keydown", (event) => { if (event.key === "Escape" && !stop.hidden) end("ended"); });
  document.addEventListener("visibilitychange", () => { if (document.hidden && !stop.hidden) end("ended"); });
  window.addEventListener("pagehide", release);
}
