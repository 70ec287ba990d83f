-- The log. Everything that happens is a row of events; every other table can be derived from it, but for
-- the secrets that it must not hold (002_vault.sql).

-- The service acts as this role, whoever it connects as: it can add to history and cannot rewrite it.
-- Roles belong to the whole server, so another database there may have made this one already.
do $$
begin
    create role foof_service nologin;
exception
    when duplicate_object or unique_violation then null;
end
$$;

do $$
begin
    if not pg_has_role(current_user, 'foof_service', 'member') then
        execute format('grant foof_service to %I', current_user);
    end if;
end
$$;

grant usage on schema public to foof_service;

create table events (
    position       bigint      primary key check (position > 0),
    stream         text        not null check (length(stream) between 1 and 200),
    version        bigint      not null check (version > 0),
    type           text        not null check (length(type) between 1 and 100),
    schema_version smallint    not null check (schema_version > 0),
    data           json        not null,
    meta           json        not null,
    recorded_at    timestamptz not null,
    command        uuid        unique, -- on the last event of each append: the command that it came from
    unique (stream, version)
);

-- One row: the position and time of the newest event. An append locks it until it commits, and that makes
-- positions gapless and their order the order of commits.
create table log_head (
    only_row    boolean     primary key default true check (only_row),
    position    bigint      not null,
    recorded_at timestamptz not null
) with (fillfactor = 10); -- room in the page for the row's next version, so that updates touch no index

insert into log_head (position, recorded_at) values (0, 'epoch');

create function refuse_rewriting() returns trigger language plpgsql as $$
begin
    raise exception 'history is append-only: % of % is refused', lower(tg_op), tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;

create trigger append_only before update or delete or truncate on events
    for each statement execute function refuse_rewriting();

grant select, insert on events to foof_service;
grant select, update on log_head to foof_service;

-- append_events makes a batch of appends durable in one transaction, each on its own merits: one whose expectation
-- does not hold is left out and named, and the others go in. The caller sees to it that a stream is expected once
-- in a batch at most, and that each event's version follows from what is expected of its stream.
--
--   expect_append[j], expect_stream[j], expect_version[j]   append number expect_append[j] expects this stream to be
--                                                           at this version (0: not to exist)
--   event_append[k], event_stream[k], event_version[k] ...  the events in order, each with the number of its append;
--                                                           event_command is null but for an append's last event
--
-- Answers with the position before the first event that went in, the time recorded, and for each expectation that
-- did not hold its append, stream and actual version. A command that is in the log already raises unique_violation:
-- the caller takes it out of the batch and calls again.
create function append_events(
    expect_append int[], expect_stream text[], expect_version bigint[],
    event_append int[], event_stream text[], event_version bigint[], event_type text[], event_schema smallint[],
    event_data text[], event_meta text[], event_command uuid[],
    out head_before bigint, out recorded timestamptz,
    out conflict_append int[], out conflict_stream text[], out conflict_version bigint[]
) language plpgsql set jit = off set plan_cache_mode = force_generic_plan as $$
declare
    added   int      := cardinality(event_type);
    refused bigint[] := '{}'; -- the numbers of the events of appends in conflict, in order
begin
    -- From here until the commit nobody else appends, and statements from here on see all that was appended before.
    update log_head h set position = h.position + added, recorded_at = greatest(h.recorded_at, clock_timestamp())
        returning h.position - added, h.recorded_at into head_before, recorded;

    select array_agg(x.append), array_agg(x.stream), array_agg(x.actual)
        into conflict_append, conflict_stream, conflict_version
        from (
            select e.append, e.stream, e.version,
                   coalesce((select max(v.version) from events v where v.stream = e.stream), 0) as actual
            from unnest(expect_append, expect_stream, expect_version) as e (append, stream, version)
        ) x
        where x.version <> x.actual;

    if conflict_append is not null then
        select array_agg(e.k order by e.k) into refused
            from unnest(event_append) with ordinality as e (append, k)
            where e.append = any (conflict_append);
        update log_head h set position = h.position - cardinality(refused);
    end if;

    -- width_bucket counts those refused before this one. (A window function would carry all data through a sort.)
    insert into events (position, stream, version, type, schema_version, data, meta, recorded_at, command)
        select head_before + e.k - width_bucket(e.k, refused),
               e.stream, e.version, e.type, e.schema_version, e.data::json, e.meta::json, recorded, e.command
        from unnest(event_append, event_stream, event_version, event_type, event_schema, event_data, event_meta, event_command)
                 with ordinality as e (append, stream, version, type, schema_version, data, meta, command, k)
        where conflict_append is null or e.append <> all (conflict_append);
end
$$;
