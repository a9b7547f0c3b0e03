-- Every build forgets the notes that are too old: found without reading the others.

CREATE INDEX build_notes_by_made ON build_notes (made);
