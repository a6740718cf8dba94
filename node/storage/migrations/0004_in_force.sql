-- Where in the catalogue log a resource's row was last entered, so that a page of the log can be cut without reading rows.

ALTER TABLE resource ADD COLUMN log_index INTEGER;

UPDATE resource SET log_index = json_extract(CAST(document AS TEXT), '$.log_index');

CREATE INDEX resource_in_force ON resource (log_index) WHERE log_index IS NOT NULL;
