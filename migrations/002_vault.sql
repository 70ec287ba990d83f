-- The vault: what must never be in the log. A row here means nothing until an event names it.

-- Keys wrapped by the master key: one per user ("user-7"), and the service's own ("phone-index", "tokens").
-- Without its key a person's data in the log is noise; an erased key keeps its row and loses its value.
create table vault_keys (
    name       text        primary key,
    wrapped    bytea,
    created_at timestamptz not null default now()
);

create table vault_passwords (
    id         uuid        primary key,
    hash       text        not null check (hash like '$argon2id$%'),
    created_at timestamptz not null default now()
);

-- Verification codes on their way to a phone, and the number that they go to, sealed under a key of the service.
create table vault_codes (
    id         uuid        primary key,
    phone      text        not null, -- the keyed hash that names the phone's stream
    sealed     bytea       not null,
    created_at timestamptz not null default now()
);

create index on vault_codes (phone);
create index on vault_codes (created_at);

grant select, insert, update, delete on vault_keys, vault_passwords, vault_codes to foof_service;
