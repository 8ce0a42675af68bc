--
-- pool_metrics(): who may call it, whether its text is what Prometheus takes, and
-- whether its figures are those of the views
--
\set SHOW_CONTEXT never

-- The samples of the text: metric, labels, value.
create function pg_temp.samples(out metric text, out labels text, out value numeric)
	returns setof record
language sql as $$
	select m[1], m[2], m[3]::numeric
	from regexp_split_to_table(pool_metrics(), '\n') line,
		regexp_match(line, '^([a-z_]+)(?:\{(.*)\})? (\S+)$') m
	where m is not null
$$;

-- A value of the pool of a server.
create function pg_temp.metric(name text, of_server text, own text default null)
	returns numeric
language sql as $$
	select value from pg_temp.samples()
	where metric = 'pg_pool_' || name and labels = format('database="%s",server="%s",user="%s"',
		current_database(), of_server, current_user) || coalesce(',' || own, '')
$$;

--
-- It is for those who monitor
--
create role regress_metrics_nobody;
create role regress_metrics_reader in role pg_read_all_stats;
create role regress_metrics_monitor in role pg_monitor;
set role regress_metrics_nobody;
select outcome('select pool_metrics()');
set role regress_metrics_reader;
select outcome('select pool_metrics()');
set role regress_metrics_monitor;
select outcome('select pool_metrics()');
reset role;
drop role regress_metrics_nobody, regress_metrics_reader, regress_metrics_monitor;

--
-- A counter is there, with 0, from the pool's first moment, for each reason, too
--
-- Nothing is done to connections between two looks at their figures.
call create_server('metrics_here', 'pool', ', max_size ''2'', reset_query '''',
	health_check_interval ''0''');
create user mapping for current_user server metrics_here options (user :'USER');
select count(*) from pg_temp.samples() where labels like '%metrics_here%';
select pool_prewarm('metrics_here', 0);
select pool_prewarm('metrics_here', 1);
select at_rest('metrics_here');
select metric, count(*),
	count(*) filter (where value = 0 or metric ~ 'connect_seconds_(bucket|count|sum)') as zero
from pg_temp.samples() where labels like '%"metrics_here"%'
group by metric order by metric;
select labels ~ '^database="[^"]+",server="metrics_here",user="[^"]+",reason="[a-z_]+"$' as named,
	count(*)
from pg_temp.samples() where metric = 'pg_pool_closed_total' and labels like '%"metrics_here"%'
group by 1;

--
-- The figures are those of the views
--
select pool_query('metrics_here', 'select generate_series(1, 3)');
select outcome($$ select pool_query('metrics_here', 'select 1 / 0') $$);
select at_rest('metrics_here');
create temp table figures as
	select key, value from pool_stats_all() a, jsonb_each_text(to_jsonb(a)) where a.server = 'metrics_here';
create temp table samples as select * from pg_temp.samples();

-- Each counter is a column of that name.
select count(*) as counters, count(*) filter (where s.value = f.value::numeric) as equal
from samples s left join figures f on f.key = regexp_replace(s.metric, '^pg_pool_(.*)_total$', '\1')
where s.labels like '%"metrics_here"%' and s.metric like '%\_total' and s.metric not like '%closed%';
select count(*) as reasons,
	count(*) filter (where s.value = f.value::numeric) as equal,
	sum(s.value) = max((select value::numeric from figures where key = 'closed')) as sum
from samples s
left join figures f on f.key = 'closed_' || substring(s.labels from 'reason="(.*)"')
where s.labels like '%"metrics_here"%' and s.metric = 'pg_pool_closed_total';
select s.value as queries, (select value from samples where metric = 'pg_pool_query_errors_total'
	and labels = s.labels) as errors
from samples s where s.metric = 'pg_pool_queries_total' and s.labels like '%"metrics_here"%';

-- Each state is a column of that name; the limit is size_limit.
select count(*) as states, count(*) filter (where s.value = f.value::numeric) as equal
from samples s left join figures f on f.key = substring(s.labels from 'state="(.*)"')
where s.labels like '%"metrics_here"%' and s.metric = 'pg_pool_connections';
select metric, value from samples
where labels like '%"metrics_here"%' and labels not like '%state=%'
	and metric ~ '^pg_pool_(connections_|waiting|oldest|breaker_(state|open)|leaked|health_check_cons|paused)'
order by metric;
select pool_pause('metrics_here');
select pg_temp.metric('paused', 'metrics_here') as paused;
select pool_resume('metrics_here');

-- Histograms are cumulative, and end with all.
select metric, count(*) as buckets,
	bool_and(value >= before) as cumulative,
	max(value) = (select value from samples c where c.metric = regexp_replace(s.metric, 'bucket$', 'count')
		and c.labels like '%"metrics_here"%') as all_are_counted,
	max(value) = (select count from pool_stats_times where server = 'metrics_here'
		and metric = substring(s.metric from '(wait|connect|query|lease)')) as as_in_view
from (select *, lag(value, 1, 0) over (partition by metric order by
	replace(substring(labels from 'le="\+?(.*)"'), 'Inf', 'Infinity')::float8) as before
	from samples where metric like '%\_bucket' and labels like '%"metrics_here"%') s
group by metric order by metric;
select string_agg(substring(labels from 'le="(.*)"'), ' ' order by
	replace(substring(labels from 'le="\+?(.*)"'), 'Inf', 'Infinity')::float8)
from samples where metric = 'pg_pool_query_seconds_bucket' and labels like '%"metrics_here"%';

-- What is of the server.
select metric, labels, case when metric ~ '_limit$'
	then value = current_setting('pool.max_' || substring(metric from 'all_(.*)_limit'))::int end as as_set
from samples where labels is null or labels not like 'database=%' order by metric, labels;

--
-- Names with whatever characters are escaped
--
create procedure pg_temp.use(name text)
language plpgsql as $$
begin
	call create_server(name, 'pool');
	execute format('create user mapping for current_user server %I options (user %L)', name,
		current_user);
end
$$;
call pg_temp.use('metrics "quoted"');
call pg_temp.use('metrics \back\n');
call pg_temp.use(E'metrics\nline');
call pg_temp.use('metrics }{ 1,a="b" größe');
select pool_prewarm(srvname, 1) from pg_foreign_server where srvname ~ '^metrics[^_]';
select substring(line from 'server=.*,user=') from regexp_split_to_table(pool_metrics(), '\n') line
where line ~ '^pg_pool_paused.*server="metrics[^_]' order by 1;

--
-- The text is well-formed: every line is a comment or a sample, what is of one
-- metric is together after one HELP and one TYPE, and no series is there twice
--
create temp table page as
	select n, line from regexp_split_to_table(pool_metrics(), '\n') with ordinality l(line, n);
create temp table lines as
	select n, line, coalesce(m[1], m[2]) as metric
	from page, regexp_match(line, '^(?:# (?:HELP|TYPE) (pg_pool_[a-z_]+) .+'
		|| '|(pg_pool_[a-z_]+)(?:\{[a-z]+="(?:[^"\\]|\\[\\"n])*"(?:,[a-z]+="(?:[^"\\]|\\[\\"n])*")*\})? '
		|| '[0-9]+(?:\.[0-9]+)?)$') m
	where m is not null;
select n = (select max(n) from page) as at_the_end, line from page
where n not in (select n from lines);
update lines set metric = regexp_replace(metric, '_(bucket|sum|count)$', '') where metric ~ '_seconds_';
select count(*) as metrics, bool_and(helps = 1 and types = 1 and last - first + 1 = n) as together
from (select metric, count(*) filter (where line like '# HELP%') as helps,
		count(*) filter (where line like '# TYPE%') as types,
		min(n) as first, max(n) as last, count(*) as n
	from lines group by metric) m;
select substring(line from '[a-z]+$') as type, count(*) from lines where line like '# TYPE%'
group by 1 order by 1;
select count(*) from (select substring(line from '^(.*) ') from lines group by 1 having count(*) > 1) t;

--
-- Two pools with the same names are one series: here one has the name that the
-- other one had
--
call pg_temp.use('metrics_name');
select pool_query('metrics_name', 'select 1');
select pool_query('metrics_name', 'select 1');
alter server metrics_name rename to metrics_renamed;
call pg_temp.use('metrics_name');
select pool_query('metrics_name', 'select 1');
select metric, value from pg_temp.samples()
where labels like '%"metrics_name"%' and (labels not like '%,%,%,%' or labels like '%"+Inf"%')
	and metric ~ 'queries|rows_|limit|connections_max|breaker_state|query_seconds_(bucket|count)'
order by metric;
select count(*) from (select metric, labels from pg_temp.samples() group by 1, 2 having count(*) > 1) t;

-- When it is used by its new name it has that name.
select pool_query('metrics_renamed', 'select 1');
select pg_temp.metric('queries_total', 'metrics_name') as old_name,
	pg_temp.metric('queries_total', 'metrics_renamed') as new_name;

--
-- The series of a pool end with its server, though a lease of it goes on
--
select pool_acquire('metrics_renamed', hold => true) as lease \gset
set client_min_messages = warning;
drop server metrics_renamed cascade;
reset client_min_messages;
select active from pool_stats where server = 'metrics_renamed';
select count(*) from pg_temp.samples() where labels like '%"metrics_renamed"%';
select pool_release(:lease);

--
-- No password, no query, no process
--
alter user mapping for current_user server metrics_here options (add password 'metrics_secret');
select pool_query('metrics_here', 'select ''metrics_secret''');
select pool_metrics() ~ 'metrics_here' as shown, pool_metrics() ~ 'metrics_secret' as secret;
select count(*) from pg_temp.samples() where labels ~ 'pid|query|password';

set client_min_messages = warning;
drop server metrics_here, metrics_name cascade;
select format('drop server %I cascade', srvname) from pg_foreign_server
where srvname ~ '^metrics[^_]' \gexec
