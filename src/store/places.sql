-- In which repositories of which registries blobs are, as far as we have seen. A fact about others: it may be out of date.

CREATE TABLE places (
    digest     BLOB NOT NULL,
    registry   TEXT NOT NULL,
    repository TEXT NOT NULL,
    seen       INTEGER NOT NULL,
    PRIMARY KEY (digest, registry, repository)
) STRICT, WITHOUT ROWID;
CREATE INDEX places_by_seen ON places (seen);
