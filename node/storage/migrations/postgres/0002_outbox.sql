-- The tables of ../0002_outbox.sql in PostgreSQL's types.

CREATE TABLE outbox_item (
    destination   TEXT COLLATE "C" NOT NULL,
    sequence      BIGINT NOT NULL,
    id            TEXT COLLATE "C" NOT NULL,
    kind          TEXT   NOT NULL,
    document      BYTEA  NOT NULL,
    created_at_ms BIGINT NOT NULL,
    attempts      BIGINT NOT NULL,
    is_dead       BIGINT NOT NULL,
    code          TEXT   NOT NULL,
    told          TEXT   NOT NULL,
    PRIMARY KEY (destination, id)
);

CREATE UNIQUE INDEX outbox_item_in_order ON outbox_item (destination, sequence);

CREATE INDEX outbox_item_by_id ON outbox_item (id);

CREATE TABLE outbox_sending (
    destination    TEXT COLLATE "C" PRIMARY KEY,
    failures       BIGINT NOT NULL,
    next_try_at_ms BIGINT NOT NULL,
    last_error     TEXT   NOT NULL
);

CREATE TABLE inbox (
    sender         TEXT COLLATE "C" NOT NULL,
    id             TEXT COLLATE "C" NOT NULL,
    content_sha256 BYTEA  NOT NULL,
    reply          BYTEA  NOT NULL,
    at_ms          BIGINT NOT NULL,
    PRIMARY KEY (sender, id)
);
