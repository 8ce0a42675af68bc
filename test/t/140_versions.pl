# 140_versions.pl
#	What depends on the version of the server and of libpq: how waits are called, and
#	cancelling where the protocol is 3.2, whose cancel keys are longer.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $named = sql($local, 'SHOW server_version_num') >= 170000;
my $session = session($local);
my $look = session($local);

# shows(session, event, what): where the server knows events of extensions by name
sub shows
{
	my ($waiting, $event, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local,
		'SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = ' . $waiting->pid,
		'Extension|' . ($named ? $event : 'Extension'), $what);
}

create_server($local, 'srv', $remote, options => { max_size => 1 });
my $lease = $session->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
$look->begin(q(SELECT pool_acquire('srv', timeout => '600s', hold => true)));
shows($look, 'PoolAcquire', 'a session that waits for a connection says so');
$session->begin("SELECT pool_query($lease, 'select pg_sleep(600)')");
shows($session, 'PoolQuery', 'a session that waits for an answer says so');
wait_for_value($local, q(SELECT DISTINCT wait_event FROM pg_stat_activity
	WHERE backend_type = 'pool worker'), $named ? 'PoolWorkerMain' : 'Extension',
	'a worker that waits says so');
foreach my $waiting ($look, $session)
{
	sql($local, 'SELECT pg_cancel_backend(' . $waiting->pid . ')');
	is($waiting->result(30)->{state}, '57014', 'a session that waits can be cancelled');
}
$_->quit foreach $session, $look;

# protocol(version): a statement on a remote that speaks it is cancelled there
sub protocol
{
	my ($version) = @_;
	my $name = "v$version" =~ tr/./_/r;
	my $caller = session($local);

	create_server($local, $name, $remote,
		options => { min_protocol_version => $version, max_protocol_version => $version });
	$caller->begin("SELECT pool_query('$name', 'select pg_sleep(600)')");
	wait_for_remote_statement($remote, "the remote runs a statement by protocol $version");
	sql($local, 'SELECT pg_cancel_backend(' . $caller->pid . ')');
	is($caller->result(30)->{state}, '57014', "the caller is cancelled by protocol $version");
	wait_for_app_sessions($remote, 0, "nothing runs on the remote by protocol $version",
		condition => q(state = 'active'), seconds => 60);
	wait_for_value($local, "SELECT cancels > 0, closed_canceled FROM pool_stats_all()"
		  . " WHERE server = '$name'", 't|1', "a cancel request was sent by protocol $version");
	$caller->quit;
	return;
}

SKIP:
{
	my $known = sql($local, q(DO $$ BEGIN
		CREATE SERVER known FOREIGN DATA WRAPPER pool OPTIONS (max_protocol_version '3.2');
		EXCEPTION WHEN OTHERS THEN NULL; END $$;
		SELECT count(*) FROM pg_foreign_server WHERE srvname = 'known'));

	# The libpq of a server is as new as the server, or newer.
	ok($known, 'the version of the protocol can be chosen')
	  if sql($local, 'SHOW server_version_num') >= 180000;
	skip 'libpq before version 18 has no max_protocol_version', 1 if !$known;
	protocol($_) foreach '3.0', '3.2';
}
settled($local);
no_crash($local, $remote);

done_testing();
