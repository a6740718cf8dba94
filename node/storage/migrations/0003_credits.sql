-- The credit bank: documents of many kinds (node/storage/shelves.py names them), each with a key, an owner and a state.
-- Numbers by which people are known stand in columns of their own, which nothing else refers to.

CREATE TABLE shelf (
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    owner    TEXT NOT NULL,
    state    TEXT NOT NULL,
    document BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

CREATE INDEX shelf_by_owner ON shelf (kind, owner, id);
CREATE INDEX shelf_by_state ON shelf (kind, state, id);

CREATE TABLE learner_number (
    learner         TEXT NOT NULL PRIMARY KEY,
    identity_number TEXT,
    student_number  TEXT
) STRICT;

CREATE INDEX learner_by_identity_number ON learner_number (identity_number);
CREATE INDEX learner_by_student_number ON learner_number (student_number);
