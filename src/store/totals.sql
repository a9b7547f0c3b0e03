-- What blobs and layer folders take together, so that a build in a large store need not add them up. Rows are replaced
-- (see durable.rs), which runs no trigger of a removal: the row that goes is taken off before the new one comes.

CREATE TABLE totals (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO totals
    SELECT 1, (SELECT coalesce(sum(size), 0) FROM blobs) + (SELECT coalesce(sum(bytes), 0) FROM layer_dirs);

CREATE TRIGGER blob_comes BEFORE INSERT ON blobs BEGIN
    UPDATE totals SET bytes = bytes + new.size - coalesce((SELECT size FROM blobs WHERE digest = new.digest), 0);
END;
CREATE TRIGGER blob_goes AFTER DELETE ON blobs BEGIN
    UPDATE totals SET bytes = bytes - old.size;
END;
CREATE TRIGGER layer_dir_comes BEFORE INSERT ON layer_dirs BEGIN
    UPDATE totals SET bytes = bytes + coalesce(new.bytes, 0)
        - coalesce((SELECT bytes FROM layer_dirs WHERE diff_id = new.diff_id), 0);
END;
CREATE TRIGGER layer_dir_is_measured AFTER UPDATE OF bytes ON layer_dirs BEGIN
    UPDATE totals SET bytes = bytes + coalesce(new.bytes, 0) - coalesce(old.bytes, 0);
END;
CREATE TRIGGER layer_dir_goes AFTER DELETE ON layer_dirs BEGIN
    UPDATE totals SET bytes = bytes - coalesce(old.bytes, 0);
END;

CREATE INDEX layer_dirs_not_measured ON layer_dirs (id) WHERE bytes IS NULL;
