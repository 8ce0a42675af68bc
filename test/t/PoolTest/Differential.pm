# Differential.pm
#	Runs the scripts of test/dblink in one database with dblink and in others with
#	pool_dblink, and compares what is printed, item by item.  A line "--- NAME" starts
#	an item.  Each database has a remote database of the same name, so that nothing of
#	one run meets another.  What a script may use of its database is in @helpers.

package PoolTest::Differential;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(scripts items_of differential_database run_items compare_items);

my $dir = $FindBin::RealBin . '/../dblink';

my $helpers = <<'SQL';
CREATE FUNCTION far_port() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT PORT';
CREATE FUNCTION far_db() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'DB' $$;
CREATE FUNCTION bare_far(role text DEFAULT 'app') RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'host=127.0.0.1 port=PORT dbname=DB user=' || role $$;
CREATE FUNCTION far(role text DEFAULT 'app') RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT bare_far(role) || ' password=secret' $$;
CREATE FUNCTION url() RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'postgresql://app:secret@127.0.0.1:PORT/DB' $$;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN filled AS text NOT NULL;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE notified (n serial, name text, extra text);

-- wait_idle(name): until its query is answered
CREATE FUNCTION wait_idle(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 6000 LOOP
		IF dblink_is_busy(name) = 0 THEN RETURN; END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RAISE 'connection % is still busy', name;
END $$;

-- wait_running(name): until a session of its remote is within pg_sleep()
CREATE FUNCTION wait_running(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 6000 LOOP
		PERFORM dblink_is_busy(name);
		IF EXISTS (SELECT FROM dblink(far(), 'select 1 from pg_stat_activity '
				'where wait_event = ''PgSleep'' and datname = current_database()') AS r(i int)) THEN
			RETURN;
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RAISE 'nothing runs';
END $$;

-- wait_notify(name, count): until so many notifications are in "notified"
CREATE FUNCTION wait_notify(name text, wanted int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 6000 LOOP
		INSERT INTO notified (name, extra) SELECT notify_name, g.extra FROM dblink_get_notify($1) g;
		IF (SELECT count(*) FROM notified) >= wanted THEN RETURN; END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RAISE 'not so many have come';
END $$;

-- kill(name): ends the remote's session of that connection, by the one named boss
CREATE FUNCTION kill(name text) RETURNS bool LANGUAGE sql AS $$
	SELECT b FROM dblink('boss', 'select pg_terminate_backend('
		|| (SELECT p FROM dblink(name, 'select pg_backend_pid()') AS r(p int)) || ', 10000)')
		AS r(b bool)
$$;
-- tried(statement): its first value, or that it is an error
CREATE FUNCTION tried(statement text) RETURNS text
LANGUAGE plpgsql SET client_min_messages = error AS $$
DECLARE
	value text;
BEGIN
	EXECUTE statement INTO value;
	RETURN coalesce(value, 'nothing');
EXCEPTION WHEN OTHERS THEN
	RETURN 'an error';
END $$;
GRANT ALL ON SCHEMA public TO PUBLIC;
SQL

# scripts(): the names of all
sub scripts
{
	return map { m{([^/]+)\.sql$} } sort glob "$dir/*.sql";
}

# items_of(script): [name, statements] of each
sub items_of
{
	my ($script) = @_;
	my (undef, @parts) = split /^--- (.*)\n/m, slurp_file("$dir/$script.sql");
	my @items;

	push @items, [ splice @parts, 0, 2 ] while @parts;
	return @items;
}

# differential_database(local, remote, name, how): both databases of that name; how:
# extensions, encoding, settings
sub differential_database
{
	my ($local, $remote, $name, %how) = @_;
	my $encoding = $how{encoding} || 'UTF8';
	my $sql = $helpers =~ s/PORT/$remote->port/ger =~ s/DB/$name/gr;

	sql($remote, "CREATE DATABASE $name ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0 OWNER app");
	sql($remote, 'GRANT ALL ON SCHEMA public TO PUBLIC', db => $name);
	sql($local, "CREATE DATABASE $name ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	sql($local, "ALTER DATABASE $name SET $_ = $how{settings}{$_}")
	  foreach keys %{ $how{settings} };
	sql($local, join('', map { "CREATE EXTENSION $_;" } @{ $how{extensions} }) . $sql, db => $name);
	return;
}

# run_items(local, database, script, items): what each of them prints, in one session
sub run_items
{
	my ($local, $db, $script, @items) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$script.$db.out";
	my $input = join '', "\\set VERBOSITY verbose\n\\set SHOW_CONTEXT always\n",
	  map { "\\echo \@\@\@\n$_->[1]\n" } @items;

	local $ENV{PGCLIENTENCODING} = 'UTF8';
	local $ENV{PGAPPNAME} = 'psql';
	IPC::Run::run([ 'timeout', '100', 'psql', '-XAq', '-d', $local->connstr($db) ],
		'<', \$input, '>&', $file);
	my (undef, @outputs) = split /^\@\@\@\n/m, slurp_file($file);
	return map { _normalised($_, $db) } @outputs;
}

# What differs from one run to the next, and where in the source an error is
sub _normalised
{
	my ($text, $db) = @_;

	$text =~ s/^LOCATION:  .*\n//mg;
	$text =~ s/\b$db\b/DB/g;
	$text =~ s/\b(port |127\.0\.0\.1:)\d{4,5}\b/$1PORT/g;
	$text =~ s/\.s\.PGSQL\.\d+/.s.PGSQL.PORT/g;
	$text =~ s/\blease \d+/lease N/g;
	$text =~ s/^[0-9a-f]{1,16} pool DB (\w+) \d+$/N pool DB $1 PID/mg;
	return $text;
}

# compare_items(script, mode, items, dblink's outputs, ours, differences): a test of
# each item.  Of those that are to differ, by "script: item", what dblink prints is
# replaced by what we do; what we print and dblink nowhere does, by "everywhere", is
# left out.
sub compare_items
{
	my ($script, $mode, $items, $theirs, $ours, $differences) = @_;
	my $more = $differences->{everywhere};

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(scalar @$ours, scalar @$items, "$script in mode $mode came to its end");
	foreach my $i (0 .. $#$items)
	{
		my $name = "$script: $items->[$i][0]";
		my $want = defined $theirs->[$i] ? $theirs->[$i] : 'nothing';
		my $got = defined $ours->[$i] ? $ours->[$i] : 'nothing';

		foreach my $difference (@{ $differences->{$name} || [] })
		{
			next if $difference->{mode} && $difference->{mode} ne $mode;
			ok($want =~ s/\Q$difference->{dblink}\E/$difference->{ours}/g,
				"$name: differs by design ($mode): $difference->{why}");
		}
		$more->{seen}{$mode} += ($got =~ s/$more->{ours}//g) - ($want =~ s/$more->{ours}//g);
		is($got, $want, "$name ($mode)");
	}
	return;
}

1;
