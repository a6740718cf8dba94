"""What stands in for the machine in a simulation: its time, its signatures, its seals, its lines."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.keys import KeyInMemory, NodeKey
from federation.naming import NodeName
from federation.sealing import SealBroken, open_sealed
from node.simulation import loop
from node.simulation.clocks import SkewedClock
from node.simulation.keys import HomeWithoutDisk
from node.simulation.loop import NothingLeftToWaitFor, VirtualLoop, run
from node.simulation.signatures import RememberingKey, verified_once
from node.simulation.world import SeededRandomness
from node.usecases.founding import found_network

SEED = b"7" * 32
ROOT = NodeName("lln.internal")


# --- time ------------------------------------------------------------------------------------------------------------


def test_time_goes_exactly_to_the_next_timer_and_in_order():
    told = []

    async def at(seconds):
        await asyncio.sleep(seconds)
        told.append((seconds, asyncio.get_running_loop().time()))

    async def main():
        async with asyncio.TaskGroup() as together:
            for seconds in (30.0, 0.1, 86_400.0, 0.1, 30.0):
                together.create_task(at(seconds))

    run(main())
    assert told == [(seconds, seconds) for seconds in (0.1, 0.1, 30.0, 30.0, 86_400.0)]


def test_timers_of_one_moment_go_off_in_the_order_in_which_they_were_set():
    told = []

    async def main():
        running = asyncio.get_running_loop()
        for number in range(50):
            running.call_at(5.0, told.append, number)
        await asyncio.sleep(6)

    run(main())
    assert told == list(range(50))


def test_time_limits_that_were_not_reached_are_swept_out(monkeypatch):
    monkeypatch.setattr(loop, "SWEPT_AT_LEAST", 10)

    async def main():
        for _ in range(500):
            async with asyncio.timeout(3_600):
                await asyncio.sleep(0.001)
        return len(asyncio.get_running_loop()._timers)

    assert run(main()) < 40


def test_waiting_for_what_can_never_come_is_told():
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(NothingLeftToWaitFor):
        run(main())


def test_a_time_limit_that_is_reached_counts():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.sleep(11)
        return asyncio.get_running_loop().time()

    assert run(main()) == 10.0


# --- signatures ------------------------------------------------------------------------------------------------------


def test_only_what_was_signed_is_known_and_everything_else_is_verified():
    key, other = RememberingKey(SEED), KeyInMemory(b"8" * 32)
    verify = NodeKey.verify
    with verified_once():
        signature = key.sign(b"said")
        assert key.public.verify(b"said", signature)
        assert not key.public.verify(b"sai", signature)
        assert not key.public.verify(b"said", signature[:-1] + bytes([signature[-1] ^ 1]))
        assert not other.public.verify(b"said", signature)
        assert other.public.verify(b"else", other.sign(b"else"))
    assert NodeKey.verify is verify


# --- seals -----------------------------------------------------------------------------------------------------------


def identity(name=ROOT, start="1"):
    home, clock = HomeWithoutDisk(1, name), SkewedClock(VirtualLoop())
    found_network(name, home=home, clock=clock, randomness=SeededRandomness(1, "founding"))
    return home.identity(clock, SeededRandomness(1, name, start), 10**10)


def test_what_a_simulated_node_seals_the_real_suite_opens():
    key = X25519PrivateKey.generate()
    sealed = identity().seal("密".encode() * 300, key.public_key().public_bytes_raw(), b"what it is for")
    assert open_sealed(sealed, key, b"what it is for") == "密".encode() * 300
    with pytest.raises(SealBroken):
        open_sealed(sealed, key, b"something else")
    with pytest.raises(SealBroken):
        identity().seal(b"text", b"short", b"")


def test_the_same_seed_seals_alike_and_never_twice():
    to = X25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    one, other = identity(), identity()
    first = one.seal(b"text", to, b"")
    assert first == other.seal(b"text", to, b"")
    assert first != one.seal(b"text", to, b"")
    assert first != identity(start="2").seal(b"text", to, b"")
