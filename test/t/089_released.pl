# 089_released.pl
#	What a session has left behind, another one does not find, and what it has lost
#	it does not use: settings and transactions after a release, a reset that was
#	rolled back, copies of connections that are no more, leases that were reclaimed
#	while their slot has gone on.  There is one connection, so that all meet in it.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my ($session, $other) = map { session($local) } 1 .. 2;

sub server { return new_server($local, $remote, { max_size => 1, acquire_timeout => '30s', @_ }); }

# query(server or lease, statement): one column of text
sub query
{
	my ($target, $statement) = @_;

	$target = "'$target'" if $target !~ /^\d+$/;
	return "SELECT t FROM pool_query($target, \$q\$$statement\$q\$) AS r(t text)";
}

my $leave = q(select set_config('app.secret', 'mine', false));
my $look = q(select coalesce(nullif(current_setting('app.secret', true), ''), 'nothing'));
my $fail = 'select 1/0';

#
# What a function called by a SELECT has left
#
my $srv = server();
is($session->query(query($srv, $leave))->{out}, 'mine', 'a session leaves something behind');
is($other->query(query($srv, $look))->{out}, 'nothing', 'another session does not find it');

# A statement that fails rolls the reset back that went with it, if that can be.
my $weak = server(reset_query => 'DISCARD TEMP');
my $leave_table = q(select leave_table());
my $look_table = q(select count(*) from pg_class where relnamespace = pg_my_temp_schema());
sql($remote, <<'SQL', db => 'far');
CREATE FUNCTION leave_table() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMPORARY TABLE left_table (a int);
	RETURN 'left';
END $$
SQL
is($session->query(query($weak, $leave_table))->{out}, 'left', 'a table is left');
is($other->query(query($weak, $fail) . ";\n" . query($weak, $look_table))->{out}, '0',
	'nor after a statement that has failed');
$session->query(query($weak, $leave_table));
my $lease = $other->acquire($weak);
is($other->query(query($lease, $fail) . ";\n" . query($lease, $look_table))->{out}, '0',
	'nor in a lease whose first statement has failed');
$other->release($lease);

# After a lease, and after a change that the remote reports, the same session does
# not find it either.
$lease = $session->acquire($srv);
$session->query(query($lease, $leave));
$session->release($lease);
is($session->query(query($srv, $look))->{out}, 'nothing',
	'what was left in a lease is gone after it');
my $zone = $session->query(query($srv, 'show timezone'))->{out};
$session->query(query($srv, q(select set_config('timezone', 'Asia/Tokyo', false))));
is($session->query(query($srv, 'show timezone'))->{out}, $zone,
	'a setting that the remote reports is reset though a function has changed it');

# Rows that were written by other rules
my %rule = (client_encoding => 'LATIN1', DateStyle => 'German', IntervalStyle => 'iso_8601');
foreach my $setting (sort keys %rule)
{
	my $answer =
	  $session->query(query($srv, "select set_config('$setting', '$rule{$setting}', false)"));

	is($answer->{state}, '55000', "a row that comes under another $setting is refused");
	like($answer->{err}, qr/"$setting"/, "the error names $setting");
	is($session->query(query($srv, "show $setting"))->{out} =~ /^$rule{$setting}$/ ? 1 : 0,
		0, "the next statement finds the usual $setting");
}

#
# A statement that is cancelled: nobody meets it, and it ends
#
my $sleep = 'select pg_sleep(100)';
foreach my $how ('with a handover', 'without one')
{
	$other->query(query($srv, 'select 1')) if $how =~ /with a/;
	my $answer = $session->query(
		"SET statement_timeout = '2s'; " . query($srv, $sleep) . '; RESET statement_timeout');

	is($answer->{state}, '57014', "a statement $how is cancelled");
	$answer = $session->query(query($srv, q(select 'own')) . ";\n" . query($srv, q(select 'own')));
	is($answer->{out}, "own\nown", "those after a cancelled one $how get their own answers")
	  or diag($answer->{err});
	wait_for_app_sessions($remote, 0, "the statement that was cancelled $how is gone",
		condition => q(query LIKE '%pg_sleep%'));
}
is(stat_of($local, 'closed_canceled', $srv),
	2, 'the connections of cancelled statements are closed');

# One that is cancelled in a lease
$lease = $session->acquire($srv);
$session->query(
	"SET statement_timeout = '200ms'; " . query($lease, $sleep) . '; RESET statement_timeout');
my $answer = $session->query(query($lease, q(select 'own')));
is($answer->{state}, '08003', 'the lease has lost its connection then') or diag($answer->{out});
$session->query('RESET statement_timeout');
$session->release($lease);

# One that was left in the middle of its rows, in a lease
sql($local, 'CREATE DOMAIN small AS int CHECK (VALUE < 500)');
$lease = $session->acquire($srv);
$answer = $session->query(
	"SELECT * FROM pool_query($lease, 'select generate_series(1, 100000)') AS t(a small)");
is($answer->{state}, '23514', 'a row that does not fit is an error');
$answer = $session->query(query($lease, q(select 'own')));
is("$answer->{state} $answer->{out}", '00000 own', 'the lease goes on')
  or diag($answer->{err});
$session->release($lease);

#
# An open transaction
#
$remote->safe_psql('far', 'CREATE TABLE rows (a int); GRANT ALL ON rows TO app');
foreach my $reset ('DISCARD ALL', '')
{
	my $name = server(reset_query => $reset);

	$lease = $session->acquire($name);
	my $pid = $session->query(pid_query($lease))->{out};
	$session->query("SELECT pool_exec($lease, 'begin; insert into rows values (1)')");
	$session->release($lease);
	is($other->query(query($name, 'select count(*) from rows'))->{out}, 0,
		"an open transaction is rolled back when the reset is '$reset'");
	is($other->query(pid_query($name))->{out}, $pid,
		"the connection lasts when a transaction was open and the reset is '$reset'");
}

# Two connections, of which one is too many by the time they are released
my $two = server(max_size => 2);
my @leases = map { $session->acquire($two) } 1 .. 2;
sql($local, "SELECT pool_resize('$two', 0, 1)");
$session->release($_) foreach @leases;
wait_for_value($local, "SELECT open, active FROM pool_stats WHERE server = '$two'",
	'1|0', 'a connection over the limit is closed when it is released');

# An error that comes with the commit, after the statement's own answer
$remote->safe_psql('far', 'CREATE TABLE late (a int UNIQUE DEFERRABLE INITIALLY DEFERRED);'
	  . ' INSERT INTO late VALUES (1); GRANT ALL ON late TO app');
foreach my $how ('with a handover', 'without one')
{
	$other->query(query($srv, 'select 1')) if $how =~ /with a/;
	is($session->query("SELECT pool_exec('$srv', 'insert into late values (1)')")->{state},
		'23505', "the error of the commit is that of the statement $how");
}

#
# Copies
#
# The proof's nonce is in application_name.
my $nonce = 'select left(application_name, 16) from pg_stat_activity where pid = pg_backend_pid()';
my $next = server();
my $twice = join ";\n", query($srv, $nonce), query($next, 'select 1'), query($srv, $nonce);
my @seen;
$session->query(query($next, 'select 1'));
foreach (1 .. 5)
{
	# If the worker has reset the connection meanwhile, there is another proof.
	@seen = split /\n/, $session->query($twice)->{out};
	last if $seen[2] eq $seen[0];
}
is($seen[2], $seen[0], 'a session with a copy that it has proven goes on without a proof');
my $before = stat_of($local, 'connects', $srv);
@seen = split /\n/, $session->query("SET pool.session_cache = 1; $twice")->{out};
like($seen[2], qr/^\w{16}$/, 'a session with a new copy is answered');
isnt($seen[2], $seen[0], 'a session with a new copy proves it');
is(stat_of($local, 'connects', $srv), $before,
	'the connection lasts when copies of it are closed');
$session->query('RESET pool.session_cache');

# A connection that ends while it is idle: the copy of it goes, and its slot has
# another connection.
$session->query(select_42($srv));
my @descriptors = scalar descriptors($session->pid);
foreach my $turn (1 .. 3)
{
	my $failed = stat_of($local, 'closed_check_failed', $srv);
	my $gone = stat_of($local, 'closed', $srv);

	terminate_app_sessions($remote);
	wait_until(20, sub { return stat_of($local, 'open', $srv) == 0 });
	is($session->query(select_42($srv))->{out}, 42,
		"a session is answered over the connection after its own, turn $turn");
	is(stat_of($local, 'closed_check_failed', $srv), $failed,
		"the session has not tried its old copy, turn $turn");
	push @descriptors, scalar descriptors($session->pid);
}
is($descriptors[-1], $descriptors[1], 'the session has closed its old copies');

#
# A lease that was reclaimed, while the session has leased the same slot again
#
my $slot = "SELECT slot FROM pool_connections WHERE server = '$srv' AND closing_reason IS NULL";
foreach my $use (0, 1)
{
	my ($old) = acquire_lease($session, $srv);
	my $number = sql($local, $slot);

	is(sql($local, "SELECT pool_reclaim($number)"), 't', 'a lease is reclaimed');
	my ($new, $pid) = acquire_lease($session, $srv);
	is(sql($local, $slot), $number, 'the session leases the same slot again');
	if ($use)
	{
		my $answer = $session->query(query($old, 'select 1'));

		is($answer->{state}, '08003', 'the old lease cannot be used');
		like($answer->{err}, qr/was reclaimed/, 'the error says that the old lease was reclaimed');
	}
	is($session->release($old)->{state}, '00000', 'the old lease can be released');
	is($session->query(pid_query($new))->{out}, $pid,
		'the new lease goes on when the old one is released');
	$session->release($new);
}

#
# The lease of a statement
#
sql($local, <<'SQL');
CREATE FUNCTION use_lease() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pool_release(current_setting('test.lease')::bigint);
	RETURN true;
END $$;
CREATE DOMAIN using_lease AS int CHECK (use_lease());
SQL
my $last = $session->acquire($srv);
$session->release($last);
$answer = $session->query('SET test.lease = ' . ($last + 1)
	  . "; SELECT * FROM pool_query('$srv', 'select 1') AS t(a using_lease)");
is($answer->{state}, '42704', 'the lease of a statement cannot be named within it');

$_->quit foreach $session, $other;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
