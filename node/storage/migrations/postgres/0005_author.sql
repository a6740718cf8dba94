-- As ../0005_author.sql.

ALTER TABLE resource ADD COLUMN author TEXT COLLATE "C" NOT NULL DEFAULT '';

UPDATE resource SET author = coalesce(convert_from(document, 'UTF8')::json ->> 'author', '');

CREATE INDEX resource_by_author ON resource (author, id);
