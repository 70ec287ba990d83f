-- Read models: derived from the log, to be thrown away and built again at will.

-- How far each reader of the log has come: everything up to position is in its tables (or done, for a reactor).
create table checkpoints (
    reader   text   primary key,
    position bigint not null check (position >= 0)
);

-- Streams that a reader could not go on with: from this position on it passes over them, and over nothing else.
create table parked_streams (
    reader    text        not null,
    stream    text        not null,
    position  bigint      not null,
    error     text        not null,
    parked_at timestamptz not null default now(),
    primary key (reader, stream)
);

create table users (
    id           bigint  primary key check (id > 0),
    phone        text    not null,
    phone_index  text    not null unique, -- the keyed hash that the phone's stream is named by
    password     uuid    not null,
    username     text    not null,
    avatarurl    text    not null,
    info         text    not null,
    idcard       text    not null,
    studentid    int     not null,
    address      text    not null,
    verified     int     not null,
    score        int     not null,
    tokens_since bigint  not null -- ms since 1970: a token that names another time is revoked
);

create table items (
    id           bigint  primary key check (id > 0),
    owner        bigint  not null,
    title        text    not null,
    type         int     not null,
    price        bigint  not null check (price between 0 and 999999999999), -- hundredths
    imgurl       text    not null,
    depreciation int     not null,
    note         text    not null,
    sold         int     not null check (sold in (1, 2, -1, -2)),
    traded_to    bigint
);

create index on items (owner, id);
create index on items (traded_to, id) where traded_to is not null;

-- Numbers for what is new. The log is the judge: a number whose stream exists is refused there.
create sequence user_ids;
create sequence item_ids;

grant select, insert, update, delete on checkpoints, parked_streams, users, items to foof_service;
grant usage on sequence user_ids, item_ids to foof_service;
