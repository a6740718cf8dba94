-- Every table's key starts with the node name it belongs to, so that the same statements run on a distributed engine.

CREATE TABLE log (
    origin          TEXT    NOT NULL,
    topic           TEXT    NOT NULL,
    size            INTEGER NOT NULL,
    frontier        BLOB    NOT NULL,   -- roots of the complete subtrees, 32 bytes each, largest first
    note            BLOB    NOT NULL,   -- newest signed checkpoint
    confirmed_at_ms INTEGER NOT NULL,
    PRIMARY KEY (origin, topic)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_entry (
    origin   TEXT    NOT NULL,
    topic    TEXT    NOT NULL,
    idx      INTEGER NOT NULL,
    hashes   BLOB    NOT NULL,          -- the leaf's hash, then those of the subtrees that end with it
    document BLOB,                      -- absent where the entry was withheld
    PRIMARY KEY (origin, topic, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE fork (
    origin   TEXT    NOT NULL,
    topic    TEXT    NOT NULL,
    one      BLOB    NOT NULL,
    other    BLOB    NOT NULL,
    found_by TEXT    NOT NULL,
    found_at_ms INTEGER NOT NULL,
    reported INTEGER NOT NULL,
    PRIMARY KEY (origin, topic, one, other)
) STRICT, WITHOUT ROWID;

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
) STRICT, WITHOUT ROWID;

CREATE TABLE invite (
    id       TEXT PRIMARY KEY NOT NULL,
    document BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE resource (
    id       TEXT PRIMARY KEY NOT NULL,
    state    TEXT NOT NULL,
    document BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX resource_by_state ON resource (state, id);

CREATE TABLE kept_answer (
    caller       TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    document     BLOB NOT NULL,
    PRIMARY KEY (caller, operation_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE note (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
