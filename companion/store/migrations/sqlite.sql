-- What the migrations make of an empty file, so that a new one needs no Alembic: loading it takes
-- 26 MB and 0.2 s. Written by `python -m companion.store.migrate`; a test holds it to them.

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE answers (
    time DOUBLE NOT NULL,
    device TEXT NOT NULL,
    ask TEXT NOT NULL,
    turn TEXT NOT NULL,
    speaker TEXT NOT NULL,
    backend TEXT NOT NULL,
    tier TEXT NOT NULL,
    model TEXT NOT NULL,
    policy TEXT NOT NULL,
    reason TEXT NOT NULL,
    tokens_in BIGINT NOT NULL,
    tokens_out BIGINT NOT NULL,
    tokens_cached BIGINT NOT NULL,
    tokens_cache_written BIGINT NOT NULL,
    tokens_reasoning BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    nano_usd BIGINT NOT NULL,
    price_version TEXT NOT NULL,
    queue_ms BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    ms BIGINT NOT NULL,
    energy_mj BIGINT NOT NULL,
    energy_how TEXT NOT NULL,
    would_in BIGINT NOT NULL,
    would_out BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    err TEXT NOT NULL,
    PRIMARY KEY (device, ask)
) WITHOUT ROWID;
CREATE TABLE days (
    day TEXT NOT NULL,
    device TEXT NOT NULL,
    tier TEXT NOT NULL,
    backend TEXT NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    energy_how TEXT NOT NULL,
    answers BIGINT NOT NULL,
    tokens_in BIGINT NOT NULL,
    tokens_out BIGINT NOT NULL,
    tokens_cached BIGINT NOT NULL,
    tokens_cache_written BIGINT NOT NULL,
    tokens_reasoning BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    nano_usd BIGINT NOT NULL,
    ms BIGINT NOT NULL,
    energy_mj BIGINT NOT NULL,
    would_in BIGINT NOT NULL,
    would_out BIGINT NOT NULL,
    PRIMARY KEY (day, device, tier, backend, model, outcome, energy_how)
) WITHOUT ROWID;
CREATE INDEX answers_time ON answers (time);
CREATE TABLE claims (
    device TEXT NOT NULL,
    ask TEXT NOT NULL,
    owner TEXT NOT NULL,
    opened DOUBLE NOT NULL,
    until DOUBLE NOT NULL,
    state TEXT NOT NULL,
    slots TEXT NOT NULL,
    nano BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    payload BLOB,
    settled_at DOUBLE,
    PRIMARY KEY (device, ask)
) WITHOUT ROWID;
CREATE INDEX claims_open ON claims (until) WHERE state = 'open';
CREATE INDEX claims_settled ON claims (settled_at);
CREATE TABLE counters (
    "key" TEXT NOT NULL,
    nano_reserved BIGINT NOT NULL,
    nano_spent BIGINT NOT NULL,
    tokens_reserved BIGINT NOT NULL,
    tokens_spent BIGINT NOT NULL,
    ends DOUBLE NOT NULL,
    PRIMARY KEY ("key")
) WITHOUT ROWID;
CREATE TABLE health (
    name TEXT NOT NULL,
    latency TEXT NOT NULL,
    breaker TEXT NOT NULL,
    changed DOUBLE NOT NULL,
    probe_until DOUBLE NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID;
CREATE TABLE companions (
    id TEXT NOT NULL,
    seen DOUBLE NOT NULL,
    PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE TABLE tokens (
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    scope TEXT NOT NULL,
    created DOUBLE NOT NULL,
    last_used DOUBLE NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID;
INSERT INTO alembic_version VALUES ('0002');
PRAGMA user_version = 2;
