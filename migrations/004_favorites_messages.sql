-- The read models of favorites and messages, and the numbers of what is new in them.

create table favorites (
    id      bigint primary key check (id > 0),
    user_id bigint not null,
    item    bigint not null
);

create index on favorites (user_id, id);

create table messages (
    id         bigint      primary key check (id > 0),
    sender     bigint      not null,
    recipient  bigint      not null,
    data       text        not null,
    size       int         not null, -- bytes of data in JSON, quotes included
    position   bigint      not null, -- of message.sent in the log: who reads on after a position misses nothing
    created_at timestamptz not null,
    fetched_at timestamptz
);

create index on messages (recipient, id);
create index on messages (sender, id);
create index on messages (recipient, position);
create index on messages (recipient, id) where fetched_at is null;

create sequence favorite_ids;
create sequence message_ids;

grant select, insert, update, delete on favorites, messages to foof_service;
grant usage on sequence favorite_ids, message_ids to foof_service;
