-- pool_dblink_switch.sql
--	Gives a database the extension pool_dblink in the place of dblink:
--
--		psql -X -f "$(pg_config --sharedir)/extension/pool_dblink_switch.sql" DATABASE
--
--	and, with "-v back=1", dblink in the place of pool_dblink.  It is for superusers, and
--	does all or nothing.
--
-- Nothing is dropped that anything depends on.  The functions, the type and the wrapper
-- of the extension that goes stay what they are, with all that refers to them: views,
-- servers, user mappings, rights.  They leave that extension, which goes empty; each
-- function gets the code that it has in the other one, which is made in a schema of its
-- own to take the code from; and they become members of it in the place of its own.
--
-- pg_dump writes of a member's rights how they differ from those that it had when it
-- became one (pg_init_privs).  So a member whose rights were changed has its first ones
-- for the moment in which it becomes a member again.

\set ON_ERROR_STOP on
\set switch_quiet :QUIET
\set QUIET on
\if :{?back}
	\set switch_from pool_dblink
	\set switch_to dblink
\else
	\set switch_from dblink
	\set switch_to pool_dblink
\endif

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL check_function_bodies = on;

-- Members of an extension.  "name" is what it is, without the schema.  An array type comes
-- and goes with its elements' type.
CREATE OR REPLACE FUNCTION pg_temp.switch_members(extension name)
RETURNS TABLE (class oid, object oid, kind text, identity text, name text, schema oid)
LANGUAGE sql AS $$
	SELECT d.classid, d.objid, replace(i.type, '-', ' '), i.identity,
		replace(CASE WHEN n.nspname IS NULL THEN i.identity
			ELSE substr(i.identity, length(quote_ident(n.nspname)) + 2) END, 'pg_catalog.', ''),
		n.oid
	FROM pg_extension e
		JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
			AND d.deptype = 'e'
		CROSS JOIN pg_identify_object(d.classid, d.objid, 0) AS i
		LEFT JOIN pg_namespace n ON quote_ident(n.nspname) = i.schema
	WHERE e.extname = extension AND i.identity NOT LIKE '%[]'
$$;

-- Owner and rights of a member
CREATE OR REPLACE FUNCTION pg_temp.switch_rights(class oid, object oid,
	OUT owner oid, OUT rights aclitem[])
LANGUAGE sql AS $$
	SELECT proowner, coalesce(proacl, acldefault('f', proowner))
	FROM pg_proc WHERE class = 'pg_proc'::regclass AND oid = object
	UNION ALL
	SELECT typowner, coalesce(typacl, acldefault('T', typowner))
	FROM pg_type WHERE class = 'pg_type'::regclass AND oid = object
	UNION ALL
	SELECT fdwowner, coalesce(fdwacl, acldefault('F', fdwowner))
	FROM pg_foreign_data_wrapper
	WHERE class = 'pg_foreign_data_wrapper'::regclass AND oid = object
$$;

-- Those that it had when it became a member.  A superuser gave them, in the name of whom
-- it belonged to then.
CREATE OR REPLACE FUNCTION pg_temp.switch_first_rights(class oid, object oid)
RETURNS aclitem[]
LANGUAGE sql AS $$
	SELECT coalesce(
		(SELECT array_agg(makeaclitem(CASE WHEN g.grantee = g.grantor THEN r.owner
				ELSE g.grantee END, r.owner, g.privilege_type, g.is_grantable))
			FROM pg_init_privs p CROSS JOIN aclexplode(p.initprivs) AS g
			WHERE p.classoid = class AND p.objoid = object AND p.objsubid = 0),
		acldefault(CASE class WHEN 'pg_proc'::regclass THEN 'f'::"char"
			WHEN 'pg_type'::regclass THEN 'T' ELSE 'F' END, r.owner))
	FROM pg_temp.switch_rights(class, object) AS r
$$;

-- To compare rights, whose order says nothing
CREATE OR REPLACE FUNCTION pg_temp.switch_sorted(rights aclitem[]) RETURNS text
LANGUAGE sql AS $$
	SELECT coalesce(string_agg(r::text, ' ' ORDER BY r::text), '') FROM unnest(rights) AS r
$$;

-- A superuser grants in the owner's name.  What others have granted further, they grant
-- anew, after what they have themselves.
CREATE OR REPLACE PROCEDURE pg_temp.switch_set_rights(class oid, object oid, wanted aclitem[])
LANGUAGE plpgsql AS $$
DECLARE
	me text := current_setting('role');
	thing text;
	its record;
	g record;
BEGIN
	SELECT replace(type, '-', ' ') || ' ' || identity INTO thing
	FROM pg_identify_object(class, object, 0);
	SELECT * INTO its FROM pg_temp.switch_rights(class, object);
	FOR g IN SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
			AS role FROM aclexplode(its.rights) WHERE grantor = its.owner
	LOOP
		EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', thing, g.role);
	END LOOP;
	FOR g IN
		WITH RECURSIVE grants AS (
			SELECT w.*, 0 AS depth FROM aclexplode(wanted) AS w WHERE w.grantor = its.owner
			UNION
			SELECT w.*, depth + 1 FROM grants JOIN aclexplode(wanted) AS w
			ON w.grantor = grants.grantee AND grants.is_grantable AND w.grantor <> its.owner
		)
		SELECT (SELECT rolname FROM pg_roles WHERE oid = grantor AND grantor <> its.owner)
				AS grantor,
			CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS role,
			privilege_type,
			CASE WHEN is_grantable THEN 'WITH GRANT OPTION' END AS further
		FROM grants ORDER BY depth
	LOOP
		PERFORM set_config('role', coalesce(g.grantor, me), true);
		EXECUTE format('GRANT %s ON %s TO %s %s', g.privilege_type, thing, g.role, g.further);
		PERFORM set_config('role', me, true);
	END LOOP;
	SELECT * INTO its FROM pg_temp.switch_rights(class, object);
	IF pg_temp.switch_sorted(its.rights) <> pg_temp.switch_sorted(wanted) THEN
		RAISE EXCEPTION USING ERRCODE = '0A000',
			MESSAGE = format('cannot grant the rights on %s again',
				pg_describe_object(class, object, 0)),
			DETAIL = format('They would become %s instead of %s.', its.rights, wanted),
			HINT = 'Grant them in the owner''s name.';
	END IF;
END
$$;

-- What of the two extensions is there; false if there is nothing to do
CREATE OR REPLACE FUNCTION pg_temp.switch_check(was name, becomes name) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	old record;
	it text;
BEGIN
	SELECT e.oid, extversion, default_version, extnamespace INTO old
	FROM pg_extension e LEFT JOIN pg_available_extensions ON name = extname
	WHERE extname = was;
	IF EXISTS (SELECT FROM pg_extension WHERE extname = becomes) THEN
		IF old.oid IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = '42710',
				MESSAGE = format('database "%s" has both %s and %s', current_database(), was,
					becomes),
				HINT = 'One of them has to be dropped; DROP EXTENSION says what depends on it.';
		END IF;
		RAISE NOTICE 'database "%" has % already; nothing to do', current_database(), becomes;
		RETURN false;
	END IF;
	IF old.oid IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = '42704',
			MESSAGE = format('database "%s" has no extension %s', current_database(), was);
	END IF;
	IF NOT current_setting('is_superuser')::boolean THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('must be superuser to switch from %s to %s', was, becomes);
	END IF;
	IF old.extversion <> old.default_version THEN
		RAISE EXCEPTION USING ERRCODE = '55000',
			MESSAGE = format('extension %s has version %s, not %s', was, old.extversion,
				old.default_version),
			HINT = format('ALTER EXTENSION %s UPDATE; and then switch.', was);
	END IF;
	SELECT required INTO it
	FROM pg_available_extension_versions v JOIN pg_available_extensions a USING (name)
		CROSS JOIN unnest(v.requires) AS required
	WHERE name = becomes AND v.version = default_version
		AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = required);
	IF it IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = '42704',
			MESSAGE = format('extension %s needs extension %s', becomes, it),
			HINT = format('CREATE EXTENSION %s; and then switch.', it);
	END IF;

	SELECT string_agg(pg_describe_object(classid, objid, objsubid), ', ') INTO it
	FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND refobjid = old.oid
		AND deptype <> 'e';
	IF it IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = '2BP01',
			MESSAGE = format('something depends on extension %s itself', was),
			DETAIL = format('It would go with the extension: %s.', it),
			HINT = 'ALTER ... NO DEPENDS ON EXTENSION ends such a dependency.';
	END IF;
	SELECT string_agg(pg_describe_object(class, object, 0), ', ') INTO it
	FROM pg_temp.switch_members(was) WHERE schema <> old.extnamespace;
	IF it IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = '0A000',
			MESSAGE = format('not all of extension %s is in its schema', was),
			DETAIL = format('These are elsewhere: %s.', it),
			HINT = 'ALTER ... SET SCHEMA moves them back.';
	END IF;
	RETURN true;
END
$$;

-- Members of both, old and new ones, before any of them changes hands
CREATE OR REPLACE PROCEDURE pg_temp.switch_compare(was name, becomes name)
LANGUAGE plpgsql AS $$
DECLARE
	it text;
BEGIN
	SELECT string_agg(format('%s %s in %s only', coalesce(o.kind, n.kind), name,
			CASE WHEN o.kind IS NULL THEN becomes ELSE was END), ', ') INTO it
	FROM pg_temp.switch_old o FULL JOIN pg_temp.switch_new n USING (kind, name)
	WHERE o.kind IS NULL OR n.kind IS NULL;
	IF it IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = '0A000',
			MESSAGE = format('extensions %s and %s do not have the same members', was, becomes),
			DETAIL = format('There are: %s.', it),
			HINT = format(
				'ALTER EXTENSION %s DROP ... takes away what is not the extension''s own.', was);
	END IF;

	SELECT string_agg(pg_describe_object(o.class, o.object, 0), ', ') INTO it
	FROM pg_temp.switch_old o JOIN pg_temp.switch_new n USING (kind, name)
		JOIN pg_proc op ON o.class = 'pg_proc'::regclass AND o.object = op.oid
		JOIN pg_proc np ON n.object = np.oid
		JOIN pg_type ot ON op.prorettype = ot.oid
		JOIN pg_type nt ON np.prorettype = nt.oid
	WHERE (op.prolang, op.proisstrict, op.proretset, op.proallargtypes, op.proargmodes, ot.typname)
		IS DISTINCT FROM
		(np.prolang, np.proisstrict, np.proretset, np.proallargtypes, np.proargmodes, nt.typname);
	IF it IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = '0A000',
			MESSAGE = format('functions of extension %s were altered', was),
			DETAIL = format('In extension %s they are called otherwise: %s.', becomes, it);
	END IF;
END
$$;

-- Options that the new validator does not take would keep a dump from being restored.
CREATE OR REPLACE PROCEDURE pg_temp.switch_check_options(becomes name)
LANGUAGE plpgsql AS $$
DECLARE
	o record;
BEGIN
	FOR o IN
		WITH servers AS (
			SELECT s.* FROM pg_foreign_server s
			JOIN pg_foreign_data_wrapper w ON s.srvfdw = w.oid WHERE fdwname = 'dblink_fdw'
		)
		SELECT fdwvalidator::regproc AS validator, 'pg_foreign_data_wrapper'::regclass AS class,
			oid AS object, fdwoptions AS options
		FROM pg_foreign_data_wrapper WHERE fdwname = 'dblink_fdw'
		UNION ALL
		SELECT fdwvalidator, 'pg_foreign_server', s.oid, srvoptions
		FROM servers s JOIN pg_foreign_data_wrapper w ON s.srvfdw = w.oid
		UNION ALL
		SELECT fdwvalidator, 'pg_user_mapping', m.oid, umoptions
		FROM pg_user_mapping m JOIN servers s ON m.umserver = s.oid
			JOIN pg_foreign_data_wrapper w ON s.srvfdw = w.oid
	LOOP
		CONTINUE WHEN o.validator = 0;
		BEGIN
			EXECUTE format('SELECT %s($1, $2)', o.validator)
			USING coalesce(o.options, '{}'), o.class::oid;
		EXCEPTION WHEN OTHERS THEN
			RAISE EXCEPTION USING ERRCODE = SQLSTATE,
				MESSAGE = format('extension %s does not take the options of %s', becomes,
					pg_describe_object(o.class, o.object, 0)),
				DETAIL = SQLERRM;
		END;
	END LOOP;
END
$$;

-- Comments of the new members, where the old ones have none; back in dblink, all of them
CREATE OR REPLACE PROCEDURE pg_temp.switch_comments(becomes name)
LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	FOR c IN
		WITH comments(thing, old, new) AS (
			SELECT o.kind || ' ' || i.identity, obj_description(o.object, o.class::regclass::name),
				obj_description(n.object, n.class::regclass::name)
			FROM pg_temp.switch_old o JOIN pg_temp.switch_new n USING (kind, name)
				CROSS JOIN pg_identify_object(o.class, o.object, 0) AS i
			UNION ALL
			SELECT format('COLUMN %s.%I', o.identity, a.attname),
				col_description(ot.typrelid, attnum), col_description(nt.typrelid, attnum)
			FROM pg_temp.switch_old o JOIN pg_temp.switch_new n USING (kind, name)
				JOIN pg_type ot ON o.class = 'pg_type'::regclass AND o.object = ot.oid
				JOIN pg_type nt ON n.object = nt.oid
				JOIN pg_attribute a ON a.attrelid = ot.typrelid
		)
		SELECT * FROM comments
		WHERE old IS DISTINCT FROM new AND (old IS NULL OR becomes = 'dblink')
	LOOP
		EXECUTE format('COMMENT ON %s IS %L', c.thing, c.new);
	END LOOP;
END
$$;

CREATE OR REPLACE PROCEDURE pg_temp.switch(was name, becomes name)
LANGUAGE plpgsql AS $$
DECLARE
	place name;
	remark text;
	wrapped boolean;
	m record;
BEGIN
	IF NOT pg_temp.switch_check(was, becomes) THEN
		RETURN;
	END IF;
	SELECT n.nspname, nullif(obj_description(e.oid, 'pg_extension'), a.comment) INTO place, remark
	FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
		LEFT JOIN pg_available_extensions a ON a.name = e.extname
	WHERE e.extname = was;
	CREATE TEMPORARY TABLE switch_old ON COMMIT DROP AS
	SELECT *, pg_temp.switch_first_rights(class, object) AS first_rights
	FROM pg_temp.switch_members(was) AS o
		CROSS JOIN pg_temp.switch_rights(class, object);

	-- The other one, complete: a wrapper's name is the database's, not a schema's.
	wrapped := EXISTS (SELECT FROM pg_temp.switch_old WHERE kind = 'foreign data wrapper'
		AND name = 'dblink_fdw');
	IF wrapped THEN
		ALTER FOREIGN DATA WRAPPER dblink_fdw RENAME TO pool_dblink_switch;
	END IF;
	CREATE SCHEMA pool_dblink_switch;
	EXECUTE format('CREATE EXTENSION %I SCHEMA pool_dblink_switch', becomes);
	CREATE TEMPORARY TABLE switch_new ON COMMIT DROP AS
	SELECT * FROM pg_temp.switch_members(becomes);
	CALL pg_temp.switch_compare(was, becomes);

	-- Out of the one that goes
	FOR m IN SELECT * FROM pg_temp.switch_members(was) LOOP
		EXECUTE format('ALTER EXTENSION %I DROP %s %s', was, m.kind, m.identity);
	END LOOP;
	EXECUTE format('DROP EXTENSION %I', was);

	-- The code, and nothing else of the definition
	CALL pg_temp.switch_comments(becomes);
	FOR m IN
		SELECT o.object, o.identity, np.probin, np.prosrc,
			replace(pg_get_functiondef(op.oid),
				format('AS %L, $function$%s$function$', op.probin, op.prosrc),
				format('AS %L, $function$%s$function$', np.probin, np.prosrc)) AS definition
		FROM pg_temp.switch_old o JOIN pg_temp.switch_new n USING (kind, name)
			JOIN pg_proc op ON o.class = 'pg_proc'::regclass AND o.object = op.oid
			JOIN pg_proc np ON n.object = np.oid
	LOOP
		EXECUTE m.definition;
		IF NOT EXISTS (SELECT FROM pg_proc WHERE oid = m.object AND probin = m.probin
				AND prosrc = m.prosrc) THEN
			RAISE EXCEPTION 'could not give function % other code', m.identity;
		END IF;
	END LOOP;

	-- Into the other one, in the place of its own.  The order of kinds is that in which
	-- they depend on each other.
	FOR m IN SELECT * FROM pg_temp.switch_new ORDER BY kind LOOP
		EXECUTE format('ALTER EXTENSION %I DROP %s %s', becomes, m.kind, m.identity);
		EXECUTE format('DROP %s %s', m.kind, m.identity);
	END LOOP;
	EXECUTE format('ALTER EXTENSION %I SET SCHEMA %I', becomes, place);
	DROP SCHEMA pool_dblink_switch;
	IF wrapped THEN
		ALTER FOREIGN DATA WRAPPER pool_dblink_switch RENAME TO dblink_fdw;
	END IF;
	FOR m IN
		SELECT *, pg_temp.switch_sorted(rights) <> pg_temp.switch_sorted(first_rights) AS changed
		FROM pg_temp.switch_old
	LOOP
		IF m.changed THEN
			CALL pg_temp.switch_set_rights(m.class, m.object, m.first_rights);
		END IF;
		EXECUTE format('ALTER EXTENSION %I ADD %s %s', becomes, m.kind, m.identity);
		IF m.changed THEN
			CALL pg_temp.switch_set_rights(m.class, m.object, m.rights);
		END IF;
	END LOOP;
	IF remark IS NOT NULL THEN
		EXECUTE format('COMMENT ON EXTENSION %I IS %L', becomes, remark);
	END IF;
	CALL pg_temp.switch_check_options(becomes);
	RAISE NOTICE 'database "%" has % in the place of % now', current_database(), becomes, was;
END
$$;

CALL pg_temp.switch(:'switch_from', :'switch_to');
COMMIT;
\set QUIET :switch_quiet
