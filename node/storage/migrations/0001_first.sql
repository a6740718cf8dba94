-- Tables that hold documents keep a rowid beside their key: a document of a kilobyte in the key's own tree (WITHOUT
-- ROWID) spills into overflow pages and costs four times as much to insert (docs/adr/0003-storage.md).

CREATE TABLE log (
    id              INTEGER PRIMARY KEY,
    origin          TEXT    NOT NULL,
    topic           TEXT    NOT NULL,
    size            INTEGER NOT NULL,
    frontier        BLOB    NOT NULL,   -- roots of the complete subtrees, 32 bytes each, largest first
    note            BLOB    NOT NULL,   -- newest signed checkpoint
    confirmed_at_ms INTEGER NOT NULL,
    UNIQUE (origin, topic)
) STRICT;

CREATE TABLE log_entry (
    log_id   INTEGER NOT NULL,          -- log.id; the distribution column
    idx      INTEGER NOT NULL,
    hashes   BLOB    NOT NULL,          -- the leaf's hash, then those of the subtrees that end with it
    document BLOB,                      -- absent where the entry was withheld
    PRIMARY KEY (log_id, idx)
) STRICT;

CREATE TABLE fork (
    origin      TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    evidence    BLOB    NOT NULL,       -- SHA-256 over both notes, the smaller first
    one         BLOB    NOT NULL,
    other       BLOB    NOT NULL,
    found_by    TEXT    NOT NULL,
    found_at_ms INTEGER NOT NULL,
    reported    INTEGER NOT NULL,
    PRIMARY KEY (origin, topic, evidence)
) STRICT;

CREATE TABLE holding (
    origin  TEXT    NOT NULL,
    topic   TEXT    NOT NULL,
    holder  TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    indexed INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (origin, topic, holder)
) STRICT, WITHOUT ROWID;

CREATE TABLE standing (
    authority TEXT NOT NULL,
    name      TEXT NOT NULL,
    document  BLOB NOT NULL,
    PRIMARY KEY (authority, name)
) STRICT;

CREATE TABLE invite (
    id       TEXT NOT NULL PRIMARY KEY,
    document BLOB NOT NULL
) STRICT;

CREATE TABLE resource (
    id       TEXT NOT NULL PRIMARY KEY,
    state    TEXT NOT NULL,
    document BLOB NOT NULL
) STRICT;

CREATE INDEX resource_by_state ON resource (state, id);

CREATE TABLE kept_answer (
    caller         TEXT    NOT NULL,
    operation_id   TEXT    NOT NULL,
    call_sha256    BLOB    NOT NULL,
    method         TEXT    NOT NULL,
    payload_sha256 BLOB    NOT NULL,
    call_header    BLOB    NOT NULL,
    call_signature BLOB    NOT NULL,
    status         INTEGER NOT NULL,
    body           BLOB    NOT NULL,
    at_ms          INTEGER NOT NULL,
    PRIMARY KEY (caller, operation_id)
) STRICT;

CREATE TABLE note (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
