-- What was answered to requests that came with an Idempotency-Key: for a day the same request gets the same answer again.

create table answers (
    caller   bigint      not null, -- 0: nobody who is logged in
    key      text        not null check (length(key) between 1 and 255),
    request  bytea       not null, -- a hash of what was asked
    command  uuid        not null, -- under which it is carried out, once, however often the request comes
    begun_at timestamptz not null default now(),
    taken_at timestamptz not null default now(), -- when somebody last began to work at it
    status   int,                  -- null until it is answered
    type     text,
    body     bytea,                -- sealed under a key of the service
    primary key (caller, key)
);

create index on answers (begun_at);

grant select, insert, update, delete on answers to foof_service;
