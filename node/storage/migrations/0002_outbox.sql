-- What must arrive at other nodes, and what has arrived from them.

CREATE TABLE outbox_item (
    destination   TEXT    NOT NULL,     -- a node's name
    sequence      INTEGER NOT NULL,     -- its place among everything for that node
    id            TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    document      BLOB    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    is_dead       INTEGER NOT NULL,
    code          TEXT    NOT NULL,     -- of the last answer that left it here
    told          TEXT    NOT NULL,
    PRIMARY KEY (destination, id)
) STRICT;

CREATE UNIQUE INDEX outbox_item_in_order ON outbox_item (destination, sequence);

CREATE INDEX outbox_item_by_id ON outbox_item (id);

CREATE TABLE outbox_sending (
    destination    TEXT    NOT NULL PRIMARY KEY,
    failures       INTEGER NOT NULL,
    next_try_at_ms INTEGER NOT NULL,
    last_error     TEXT    NOT NULL
) STRICT;

CREATE TABLE inbox (
    sender         TEXT    NOT NULL,    -- a node key, as did:key; it outlives a name
    id             TEXT    NOT NULL,
    content_sha256 BLOB    NOT NULL,    -- over kind and document
    reply          BLOB    NOT NULL,
    at_ms          INTEGER NOT NULL,
    PRIMARY KEY (sender, id)
) STRICT;
