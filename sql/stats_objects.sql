--
-- The extension's objects: which there are, and what everybody may do with them
--
\set SHOW_CONTEXT never

create role regress_pool_nobody;
create temporary view stats_members as
	select classid, objid, pg_describe_object(classid, objid, 0) as object from pg_depend
	where refclassid = 'pg_extension'::regclass and deptype = 'e' and classid <> 'pg_type'::regclass
		and refobjid = (select oid from pg_extension where extname = 'pool');

--
-- The views, the functions and the wrapper are all there, and described
--
select object from stats_members where classid <> 'pg_proc'::regclass order by object collate "C";
select count(*) > 15 as functions from stats_members where classid = 'pg_proc'::regclass;
-- Each object has a description, and so has each column of the views.
select object from stats_members
where coalesce(obj_description(objid, classid::regclass::name), '') = '';
select attrelid::regclass, attname from stats_members join pg_attribute on attrelid = objid
where classid = 'pg_class'::regclass and attnum > 0
	and coalesce(col_description(attrelid, attnum), '') = '';
select coalesce(obj_description(oid, 'pg_extension'), '') <> '' as described
from pg_extension where extname = 'pool';

--
-- Everybody may read the views, and call the functions, which look at the rights on
-- the server; the wrapper is for those who have a right to it
--
select relname, grantee, privilege_type, is_grantable from pg_class, aclexplode(relacl)
where oid in (select objid from stats_members where classid = 'pg_class'::regclass)
	and grantee <> relowner
order by relname, privilege_type;
select has_table_privilege('regress_pool_nobody', objid,
	'insert, update, delete, truncate, trigger, references') as writable, object
from stats_members where classid = 'pg_class'::regclass order by object collate "C";
select has_foreign_data_wrapper_privilege('regress_pool_nobody', 'pool', 'usage');
set role regress_pool_nobody;
create server stats_mine foreign data wrapper pool;
reset role;

--
-- No function has the rights of its owner, and the planner leaves them alone
--
select prosecdef, proleakproof, count(*) from pg_proc
where oid in (select objid from stats_members where classid = 'pg_proc'::regclass)
group by 1, 2;
-- What touches a connection is no work for a parallel worker, nor can it be done at plan time.
select proname, provolatile, proparallel from pg_proc
where oid in (select objid from stats_members where classid = 'pg_proc'::regclass)
	and proname not in ('pool_stats_all', 'pool_connections', 'pool_waiters', 'pool_requests',
		'pool_histogram', 'pool_metrics', 'pool_fdw_validator')
	and (provolatile, proparallel) <> ('v', 'u');

drop view stats_members;
drop role regress_pool_nobody;
