-- Who submitted a resource, so that a contributor's own are found among a hundred thousand.

ALTER TABLE resource ADD COLUMN author TEXT NOT NULL DEFAULT '';

UPDATE resource SET author = coalesce(json_extract(CAST(document AS TEXT), '$.author'), '');

CREATE INDEX resource_by_author ON resource (author, id);
