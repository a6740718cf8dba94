-- The tables of ../0003_credits.sql in PostgreSQL's types.

CREATE TABLE shelf (
    kind     TEXT COLLATE "C" NOT NULL,
    id       TEXT COLLATE "C" NOT NULL,
    owner    TEXT COLLATE "C" NOT NULL,
    state    TEXT COLLATE "C" NOT NULL,
    document BYTEA NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX shelf_by_owner ON shelf (kind, owner, id);
CREATE INDEX shelf_by_state ON shelf (kind, state, id);

CREATE TABLE learner_number (
    learner         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    identity_number TEXT COLLATE "C",
    student_number  TEXT COLLATE "C"
);

CREATE INDEX learner_by_identity_number ON learner_number (identity_number);
CREATE INDEX learner_by_student_number ON learner_number (student_number);
