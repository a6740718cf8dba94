-- As ../0004_in_force.sql.

ALTER TABLE resource ADD COLUMN log_index BIGINT;

UPDATE resource SET log_index = (convert_from(document, 'UTF8')::json ->> 'log_index')::bigint;

CREATE INDEX resource_in_force ON resource (log_index) WHERE log_index IS NOT NULL;
