-- Tickets: what is secret in the links that are mailed. Like all of the vault, a row here means nothing until an event names it.

create table vault_tickets (
    id         uuid        primary key,
    hash       bytea       not null unique check (length(hash) = 32), -- of the token, keyed: a link that comes back is found by it
    user_id    bigint      not null check (user_id > 0),
    sealed     bytea       not null,                                  -- the token, for the mail that it goes into
    created_at timestamptz not null default now()
);

create index on vault_tickets (created_at);

grant select, insert, update, delete on vault_tickets to foof_service;
