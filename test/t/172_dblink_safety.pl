# 172_dblink_safety.pl
#	What dblink need not promise, since its connections are nobody else's: nobody meets
#	what another has left on a connection, however that one went; names are a session's
#	own; a role and a database have connections of their own; whoever goes gives back;
#	and what ends, the worker, the remote, the extension, takes nobody to where he did
#	not want to be.  In both modes.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Requests;
use Test::More;

my $make_done = <<'SQL';
CREATE FUNCTION done(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement INTO statement;
	RETURN coalesce(statement, 'nothing');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SQL
my @modes = ('session', 'transaction');
my $remote = start_remote();
my $local = start_local('pool_dblink.max_size' => 1);
my $port = $remote->port;
my $far = "host=127.0.0.1 port=$port dbname=far user=app password=secret";

sql($remote, <<'SQL', db => 'far', user => 'app');
CREATE TABLE rows (who text);
CREATE FUNCTION tokens(token text, n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('test.left', token, false), pg_advisory_lock_shared(hashtext(token));
	EXECUTE 'LISTEN left_behind';
	PERFORM pg_notify('left_behind', token);
	RETURN QUERY SELECT '<' || token || '>' FROM generate_series(1, n) g;
END $$;
SQL
sql($remote, 'CREATE ROLE clerk; GRANT clerk TO app');
sql($local, <<'SQL');
CREATE EXTENSION pool_dblink;
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
SQL

sql($local, $make_done);

# connect_to(session, mode, way, string): a connection in that mode; way: "named" or
# "unnamed"
sub connect_to
{
	my ($session, $mode, $way, $string) = @_;
	my $name = $way eq 'named' ? q('x', ) : '';

	$string = $far if !defined $string;
	return $session->query("SET pool_dblink.mode = '$mode'; SELECT dblink_connect($name'$string')");
}

# done(session, statement): its first value, or the SQLSTATE and message
sub done
{
	my ($session, $statement) = @_;

	return $session->query("SELECT done(\$done\$ $statement \$done\$)")->{out};
}

sub asked
{
	my ($name, $query) = @_;

	$query =~ s/'/''/g;
	return "SELECT t FROM dblink('$name', '$query') AS r(t text)";
}

sub sent
{
	my ($query) = @_;

	$query =~ s/'/''/g;
	return "SELECT FROM (SELECT dblink_send_query('x', '$query')) s";
}

sub run_there
{
	my ($name, $command) = @_;

	$command =~ s/'/''/g;
	return "SELECT dblink_exec('$name', '$command')";
}

#
# What somebody has left
#
my $look = <<'SQL';
select concat_ws(' ', current_user, session_user, current_setting('work_mem'),
	current_setting('client_encoding'), current_setting('transaction_isolation'),
	nullif(current_setting('test.left', true), ''), nullif(current_setting('app.tenant', true), ''),
	(select count(*) from pg_class where relpersistence = 't' and pg_table_is_visible(oid)),
	(select count(*) from pg_prepared_statements where name = 'mine'),
	(select count(*) from pg_cursors where name <> ''),
	(select count(*) from pg_listening_channels()),
	(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
	(select count(*) from rows),
	pg_current_xact_id_if_assigned() is null)
SQL
my %left = (
	'a setting' => "set work_mem = '123kB'",
	'a variable' => "do \$\$ begin perform set_config('app.tenant', 'mine', false); end \$\$",
	'a role' => 'set role clerk',
	'an encoding' => "set client_encoding = 'LATIN1'",
	'a temporary table' => 'create temp table rows2 as select 1',
	'a table in the way' => "create temp table rows as select 'mine'",
	'a prepared statement' => 'prepare mine as select 1',
	'a cursor with hold' => 'declare mine cursor with hold for select 1',
	'a notification' => 'listen mine; notify mine',
	'a lock' => 'do $$ begin perform pg_advisory_lock(7); end $$',
	'a transaction' => "begin; insert into rows values ('mine'); declare mine cursor for select 1",
	'a transaction that has failed' => "begin; insert into rows values ('mine'); select 1/0",
	'transactions of another kind' =>
	  'set session characteristics as transaction isolation level serializable');
my %ways = (
	'disconnects' => sub { $_[0]->query(q{SELECT dblink_disconnect('x')}); },
	'ends' => sub { $_[0]->quit; },
	'is terminated' => sub { sql($local, "SELECT pg_terminate_backend(${\$_[0]->pid}, 10000)"); },
	'leaves a query that it sent, and ends' => sub {
		$_[0]->query(q{SELECT dblink_send_query('x',
			'select ''mine'' from generate_series(1, 100000)')});
		$_[0]->quit;
	},
	'sends a query, and disconnects' => sub {
		$_[0]->query(q{SELECT dblink_send_query('x', 'select ''mine'' from pg_sleep(0.02)'); }
			  . q{SELECT dblink_disconnect('x')});
	},
	'is interrupted in a query, and disconnects' => sub {
		$_[0]->query(q{SET statement_timeout = '20ms'; }
			  . q{SELECT * FROM dblink('x', 'select ''mine'' from pg_sleep(0.1)') AS r(t text)});
		$_[0]->query(q{RESET statement_timeout; SELECT dblink_disconnect('x')});
	});
my $watcher = session($local);
my $user = session($local);
connect_to($user, 'session', 'named');
my $fresh = done($user, asked('x', $look));
$user->query(q{SELECT dblink_disconnect('x')});
like($fresh, qr/^app app .* 0 0 0 0 0 0 t$/, 'a connection that is new has nothing of anybody');

foreach my $what (sort keys %left)
{
	connect_to($user, 'session', 'named');
	$user->query(run_there('x', $left{$what}));
	isnt(done($user, asked('x', $look)), $fresh, "one that has $what is seen to have it");
	$user->query(q{SELECT dblink_disconnect('x')});
}

foreach my $mode (@modes)
{
	my @ways = sort keys %ways;
	my $turn = 0;
	my @met;

	foreach my $what (sort keys %left)
	{
		# Each way comes with each kind, over both modes and the order of ways.
		foreach my $way (@ways)
		{
			my $leaver = session($local);

			connect_to($leaver, $mode, 'named');
			$leaver->query(run_there('x', $left{$what}));
			$ways{$way}->($leaver);
			my $seen = connect_to($user, $modes[ $turn++ % 2 ], 'named')->{err};
			$seen .= done($user, asked('x', $look));
			$seen .= $user->query(q{SELECT * FROM dblink_get_notify('x')})->{out};
			$seen .= $user->query(q{SELECT * FROM dblink_get_result('x') AS r(t text)})->{out};
			$user->query(q{SELECT dblink_disconnect('x')});
			push @met, "$what of one who $way: $seen" if $seen ne $fresh;
		}
		my $seen = done($user, run_there($far, $left{$what})) . done($user, asked($far, $look));
		push @met, "$what of a call: $seen" if $seen !~ /\Q$fresh\E$/;
	}
	is(join("\n", @met), '', "nobody meets what another has left, mode $mode");
}

#
# Names
#
my $other = session($local);
foreach my $mode (@modes)
{
	connect_to($user, $mode, 'named');
	is($other->query(q{SELECT dblink_get_connections()})->{out}, '',
		"names are a session's own, mode $mode");
	like(done($other, q{SELECT dblink_disconnect('x')}), qr/^08003 /,
		'nobody else disconnects one');
	like(done($other, run_there('x', 'select 1')), qr/^08001 /, 'or uses one');
	is($user->query(q{SELECT dblink_get_connections()})->{out}, '{x}', 'it is still there');
	$user->query(q{SELECT dblink_disconnect('x')});
}

#
# The places of a pool
#
create_server($local, 'one', $remote, options => { max_size => 1, acquire_timeout => '300ms' });
foreach my $mode (@modes)
{
	# Only who waits in vain has so little time.
	$user->query(q(SET pool.acquire_timeout = '60s'));
	connect_to($user, 'session', 'named', 'one');
	$user->query('RESET pool.acquire_timeout');
	my $answer = connect_to($other, $mode, 'named', 'one');

	is($answer->{state}, '53300', "where all are in use, it is said in time, mode $mode");
	is($other->query(q{SELECT dblink_get_connections()})->{out}, '', 'and the name is free');
	is(connect_to($user, $mode, 'unnamed', 'one')->{state}, '53300',
		'nor does a session wait for itself for ever');
	is($user->query(asked('x', 'select 1'))->{out}, '1', 'and it has what it had');
	$user->query(q{SELECT dblink_disconnect('x')});
	connect_to($user, 'session', 'named');
	$other->begin("SET pool_dblink.mode = '$mode'; SELECT dblink_connect('x', '$far')");
	wait_for_waiters($local, 1, "another waits for that of a string, mode $mode");
	$user->query(q{SELECT dblink_disconnect('x')});
	is($other->result->{out}, 'OK', 'until there is a place');
	$other->query(q{SELECT dblink_disconnect('x')});
}
connect_to($user, 'session', 'named');
$other->query("SET statement_timeout = '100ms'");
is($other->query("SELECT dblink_connect('x', '$far')")->{state}, '57014',
	'who waits can be interrupted');
is($other->query("SELECT dblink_exec('$far', 'select 1')")->{state}, '57014', 'in a call, too');
$other->query('RESET statement_timeout');
$user->query(q{SELECT dblink_disconnect('x')});
is($other->query(asked($far, 'select 1'))->{out}, '1', 'and the place is not lost');
$_->quit foreach $user, $other;
at_rest($local, $remote, 'with one place');

#
# Roles and databases
#
sql($local, 'CREATE DATABASE second');
sql($local, "CREATE EXTENSION pool; CREATE EXTENSION pool_dblink; $make_done", db => 'second');
my $pid = asked($far, 'select pg_backend_pid()');
my %seen;
my @sessions = (session($local), session($local, user => 'alice'), session($local, user => 'bob'),
	session($local, db => 'second'), session($local, user => 'alice', db => 'second'));
foreach my $round (1 .. 3)
{
	my $i = 0;

	$seen{ $i++ }{ $_->query($pid)->{out} } = 1 foreach @sessions;
}
my %processes = map { ($_ => 1) } map { keys %{ $seen{$_} } } keys %seen;
is(join(' ', map { scalar keys %{ $seen{$_} } } sort keys %seen), '1 1 1 1 1',
	'each role in each database is answered by one process');
is(scalar keys %processes, 5, 'which is its own');
sql($local, <<"SQL");
CREATE FUNCTION definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS \$\$ $pid \$\$;
ALTER FUNCTION definer() OWNER TO bob;
SQL
my ($of_super, $of_alice, $of_bob) = map { keys %{ $seen{$_} } } 0 .. 2;
is($sessions[0]->query("SET ROLE alice; $pid; SET ROLE bob; $pid; RESET ROLE; $pid; "
		  . 'SELECT definer()')->{out},
	"$of_alice\n$of_bob\n$of_super\n$of_bob",
		'a session that changes its role has that of the moment');
is($sessions[1]->query("SELECT definer(); $pid")->{out}, "$of_bob\n$of_alice",
	'and so has a function with the rights of its owner');
is($sessions[1]->query("SET SESSION AUTHORIZATION bob")->{state}, '42501', 'a role stays itself');
foreach my $i (1, 2)
{
	my $string = $far =~ s/password=secret/password=wrong/r;

	is($sessions[$i]->query("SELECT dblink_connect('x', '$string')")->{state}, '08001',
		'a wrong password leads nowhere, though a pool is there with the right one');
	$string = $far =~ s/password=secret//r;
	is($sessions[$i]->query("SELECT dblink_connect('x', '$string')")->{state}, '2F003',
		'nor does none');
}
$_->quit foreach @sessions;

#
# Tokens: each session gets its own answers, whatever the others do.
#
sql($local, q{ALTER SYSTEM SET pool_dblink.max_size = 4});
$local->reload;
wait_for_value($local, q{SHOW pool_dblink.max_size}, 4, 'there are more places');
my $number = 0;
my @kinds = (
	sub { asked($far, $_[0]) },
	sub { asked('x', $_[0]) },
	sub { asked('x', "begin; $_[0]") . '; ' . run_there('x', 'rollback') },
	sub { sent($_[0]) . "; SELECT t FROM dblink_get_result('x') AS r(t text); "
		  . "SELECT * FROM dblink_get_result('x') AS r(t text)" },
	sub { "DO \$do\$ BEGIN PERFORM dblink_open('x', 'k', '" . $_[0] =~ s/'/''/gr
		  . "'); END \$do\$; SELECT t FROM dblink_fetch('x', 'k', 1000) AS r(t text); "
		  . "DO \$do\$ BEGIN PERFORM dblink_close('x', 'k'); END \$do\$" },
	sub { asked('x', "$_[0]; select 1/0") },
	sub { "SET statement_timeout = '3ms'; " . asked($far, $_[0]) . '; RESET statement_timeout' },
	sub { sent($_[0]) },
	sub { "BEGIN; " . asked('x', $_[0]) . '; ROLLBACK' });
@sessions = map { session($local, user => $_) } ('alice') x 4, ('bob') x 3;
foreach my $i (0 .. $#sessions)
{
	$sessions[$i]->query("SET pool_dblink.mode = '$modes[$i % 2]'");
}
my (@wrong, %answers);
srand($ENV{POOL_TEST_SEED} || 172);
foreach my $round (1 .. 60)
{
	my %token;

	foreach my $session (@sessions)
	{
		my $kind = $kinds[ int rand @kinds ];
		my $token = 'token-' . ++$number;

		$session->{token} = $token;
		$session->begin("SELECT FROM (SELECT done('SELECT dblink_disconnect(''x'')'), "
			  . "done(\$x\$ SELECT dblink_connect('x', '$far') \$x\$)) s;\n"
			  . $kind->("select tokens('$token', 20)"));
	}
	foreach my $session (@sessions)
	{
		my $result = $session->result;

		$answers{ $result->{state} }++;
		push @wrong, "$session->{token}: $_"
		  foreach grep { $_ ne $session->{token} }
		  "$result->{out}\n$result->{err}" =~ /(token-\d+)/g;
	}
}
is(join("\n", @wrong), '', 'nobody gets an answer of another');
ok($answers{'00000'} > 200,
	'most are answered: ' . join(', ', map { "$_: $answers{$_}" } sort keys %answers));
$_->quit foreach @sessions;
at_rest($local, $remote, 'after that');

#
# The worker ends, and the remote.
#
foreach my $mode (@modes)
{
	my ($held, $free) = (session($local), session($local));

	connect_to($_, $mode, 'named') foreach $held, $free;
	$held->query(run_there('x', 'begin; insert into rows values (1)'));
	my $process = done($held, asked('x', 'select pg_backend_pid()'));
	sql($local, 'SELECT pg_terminate_backend(' . worker_pid($local) . ', 10000)');
	wait_until(30, sub { done($watcher, asked($far, 'select 1')) eq '1' });
	my $after = done($held, asked('x', 'select pg_backend_pid()'));
	like($after, qr/^($process|(08|57)... .*)$/,
		"without the worker a transaction goes on, or is lost, mode $mode");
	is(done($held, asked('x', 'select count(*) from rows')), 1,
		'and all of it is there') if $after eq $process;
	like(done($free, asked('x', 'select 1')), qr/^(1|(08|57)...)/, 'a connection is there or lost');
	is(done($free, asked('x', 'select 1')), 1,
		'or another takes its place') if $mode eq 'transaction';

	$_->query(q{SELECT dblink_disconnect('x')}) foreach $held, $free;
	connect_to($_, $mode, 'named') foreach $held, $free;
	done($free, asked('x', 'select 1'));
	$held->query(run_there('x', 'begin; insert into rows values (1)'));
	$remote->restart('fast');
	wait_until(30, sub { done($watcher, asked($far, 'select 1')) eq '1' });
	like(done($held, run_there('x', 'insert into rows values (2)')), qr/^(08|57)/,
		"with the remote a transaction is lost, mode $mode");
	like(done($held, run_there('x', 'insert into rows values (3)')), qr/^08003 /,
		'and what follows it is not executed');
	like(done($held, run_there('x', 'commit')), qr/^08003 /, 'nor is its end');
	if ($mode eq 'transaction')
	{
		is(done($free, asked('x', 'select 1')), 1, 'a name without a transaction goes on');
	}
	else
	{
		like(done($free, asked('x', 'select 1')), qr/^(08|57)/, 'a connection is lost');
		like(done($free, asked('x', 'select 1')), qr/^08003 /, 'and stays so');
	}
	is(done($_, q{SELECT dblink_disconnect('x')}), 'OK',
		'until it is disconnected') foreach $held, $free;
	like(connect_to($held, $mode, 'named')->{out}, qr/OK/, 'and made anew');
	is(done($held, asked('x', 'select count(*) from rows')), 0,
		'nothing of the transactions has come to stay');
	$_->quit foreach $held, $free;
	at_rest($local, $remote, "after both have been away, mode $mode");
}

#
# COPY in dblink(), which does not end with dblink
#
$user = session($local);
foreach my $mode (@modes)
{
	connect_to($user, $mode, 'named');
	is($user->query(asked('x', 'copy rows to stdout'))->{state}, '0A000',
		"COPY is refused, mode $mode");
	is($user->query(asked($far, 'copy rows to stdout'))->{state}, '0A000', 'in a call, too');
	is($user->query(asked($far, 'copy rows from stdin'))->{state}, '0A000', 'and the other way');
	$user->query(q{SELECT dblink_disconnect('x')});
	is($user->query(asked($far, 'select 1'))->{out}, '1', 'and the session goes on');
}

#
# The extension and the database go.
#
foreach my $mode (@modes)
{
	my $holder = session($local, db => 'second');

	connect_to($holder, $mode, 'named');
	$holder->query(run_there('x', 'begin'));
	sql($local, 'DROP EXTENSION pool_dblink', db => 'second');
	is($holder->query(asked('x', 'select 1'))->{state}, '42883',
		"without the extension there are no functions, mode $mode");
	$holder->query('CREATE EXTENSION pool_dblink');
	is($holder->query(asked('x', 'select 1'))->{out}, '1', 'with it the connection is there again');
	sql($local, 'DROP EXTENSION pool CASCADE', db => 'second');
	is($holder->query(asked('x', 'select 1'))->{state}, '42883',
		'without pool there are none, either');
	$holder->query('CREATE EXTENSION pool; CREATE EXTENSION pool_dblink');
	like(done($holder, run_there('x', 'rollback')), qr/^(ROLLBACK|08)/,
		'what is left of the connection is usable or lost');
	$holder->quit;
	settled($local, "nothing is left of it, mode $mode");
}
my @holders = map { session($local, db => 'second') } 1 .. 3;
connect_to($_, 'session', 'named') foreach @holders;
sql($local, 'DROP DATABASE second WITH (FORCE)');
$_->quit foreach @holders;
wait_for_value($local, q{SELECT count(*) FROM pool_stats_all() WHERE database = 'second'}, 0,
	'with the database its pools go');

# Those who are still connected when the server stops are no trouble, either.
my @last = map { session($local) } 1 .. 2;
connect_to($last[$_], $modes[$_], 'named') foreach 0, 1;
$_->query(run_there('x', 'begin')) foreach @last;
$_->quit foreach $user, $watcher, @last;
at_rest($local, $remote, 'at last');
@last = map { session($local) } 1 .. 2;
connect_to($last[$_], $modes[$_], 'named') foreach 0, 1;
$_->query(run_there('x', 'begin')) foreach @last;
$local->stop('fast');
wait_for_app_sessions($remote, 0, 'with the server its sessions go');
no_crash($local, $remote);
done_testing();
