-- The poison queue: events that a reactor has given up. The event itself is in the log, so its position is enough; what is
-- secret in what was to be sent is in neither.

create table poisoned_events (
    reader              text        not null,
    position            bigint      not null check (position > 0),
    type                text        not null,
    error               text        not null check (length(error) <= 500), -- of the last try
    attempts            int         not null check (attempts > 0),         -- tries so far: it only ever grows
    failed_at           timestamptz not null default now(),
    replay_requested_at timestamptz,                                       -- null: it waits for an operator
    primary key (reader, position)
);

grant select, insert, update, delete on poisoned_events to foof_service;
