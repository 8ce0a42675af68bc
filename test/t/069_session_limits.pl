# 069_session_limits.pl
#	What a session keeps for its next lease has an end: with few descriptors it
#	lets idle copies go, memory for a wide statement, row or notice is given back,
#	and what was not shown before a cancel is forgotten.
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
my $local = start_local(max_files_per_process => 76, 'pool.workers' => 4);
my @servers = map { new_server($local, $remote, { max_size => 2 }) } 1 .. 16;
my $session = session($local);
my $pid = $session->pid;

#
# Descriptors
#
# of_connections(): how many the session has that can be of a connection
sub of_connections
{
	return scalar grep { /^(?:socket|anon_inode|pipe):/ } descriptors($pid);
}

my @failed = grep { $session->query(select_42($_))->{out} ne '42' } @servers, @servers;
is("@failed", '', 'a session with few descriptors uses sixteen servers one after the other, twice');
my $copies = $session->query(select_42($servers[-1]))->{out};
is($copies, '42', 'a session with few descriptors goes on with a copy that it has kept');

# As many leases as there are descriptors for
my (@leases, $answer);
foreach my $server (@servers)
{
	$answer = $session->query("SELECT pool_acquire('$server', hold => true)");
	last if $answer->{state} ne '00000';
	push @leases, $answer->{out};
}
note scalar @leases . ' leases';
cmp_ok(scalar @leases, '>=', 5, 'a session with few descriptors holds several leases');
my $all_in_use = of_connections();
is($answer->{state}, '53000', 'a lease for which there is no descriptor is an error');
like($answer->{err}, qr/too many open files.*HINT:  .*max_files_per_process/s,
	'the error says what there are too many of, and how to have more');
$answer = $session->query(select_42(new_server($local, $remote, { max_size => 1 })));
is($answer->{state}, '53000',
	'without a descriptor left, the first statement on a new server has the same error');
is($session->query("SELECT pool_exec($_, 'select 1')")->{err}, '',
	"lease $_ can be used when there are no more descriptors") foreach $leases[0], $leases[-1];
$session->release(shift @leases);
is($session->query(select_42($servers[-1]))->{out}, '42',
	'a lease that is released leaves its descriptors to the next one');
$session->query('SET pool.session_cache = 1');
$session->release($_) foreach @leases;
is($all_in_use - of_connections(), scalar @leases, 'each copy that is closed had one');
$session->query('RESET pool.session_cache');
is($session->query(select_42($servers[-1]))->{out}, '42',
	'a connection is had when all leases are released');
settled($local, 'all connections are idle when the session is out of descriptors no more');

#
# Memory
#
# memory(): what the session has for itself, in MB
sub memory
{
	return memory_of($pid, 'RssAnon') / 1024;
}

# Each of 40 MB; nothing of that size comes here or into the log.
my %wide = (
	parameter => q(PERFORM pool_query(server, 'select length($1)', repeat('x', 40000000));),
	statement => q(PERFORM pool_query(server, 'select 1 --' || repeat('x', 40000000));),
	'string of statements' =>
	  q(PERFORM pool_exec(server, 'select 1; select 2 --' || repeat('x', 40000000));),
	row => q(PERFORM length(t) FROM pool_query(server, 'select repeat(''x'', 40000000)')
		AS r(t text);),
	notice => q(PERFORM pool_exec(server,
		'do $do$ begin raise notice ''%'', repeat(''x'', 40000000); end $do$');),
	error => q(PERFORM pool_exec(server,
		'do $do$ begin raise exception ''%'', repeat(''x'', 40000000); end $do$');));
$session->query(q(SET client_min_messages = error));
foreach my $what (sort keys %wide)
{
	my $name = new_server($local, $remote, {});

	$session->query(select_42($name));
	my $before = memory();
	my $run = $session->query("DO \$\$ DECLARE server text := '$name'; BEGIN $wide{$what}"
		. ' EXCEPTION WHEN raise_exception THEN NULL; END $$');

	is($run->{err}, '', "a session takes a $what of 40 MB");
	is($session->query(select_42($name))->{out}, '42',
		"the statement after a wide $what is answered");
	cmp_ok(memory() - $before, '<', 20, "the memory for a $what is given back");
}

# A cancel that is taken while a notice is shown: here the client does not read it.
my $kept = q(SELECT used_bytes / 1024 FROM pg_backend_memory_contexts
	WHERE name = 'TopMemoryContext');
$session->query(q(SET client_min_messages = notice));
my $gate = session($remote, db => $PoolTest::remote_db);
$gate->query('SELECT pg_advisory_lock(1)');
$session->query(select_42($servers[0]));
my $before = $session->query($kept)->{out};
my $notice = q('do $do$ begin perform pg_advisory_lock(1);
	raise notice ''%'', repeat(''x'', 4000000); end $do$');
$session->begin("SELECT pool_exec('$servers[0]', $notice)");
wait_for_remote_statement($remote, 'the remote waits before it sends a notice');
$session->{run}->signal('STOP');
$gate->quit;
wait_for_value($local, "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid", 'ClientWrite',
	'a session shows a notice which its client does not read');
sql($local, "SELECT pg_cancel_backend($pid)");
$session->{run}->signal('CONT');
is($session->result->{state}, '57014', 'a session can be canceled while it shows a notice');
cmp_ok($session->query($kept)->{out} - $before, '<', 1000,
	'a notice that was being shown at a cancel takes no memory any more');
is($session->query(select_42($servers[0]))->{out}, '42', 'the statement after that is answered');

$session->quit;
settled($local, 'every lease and connection is accounted for');
no_crash($local, $remote);

done_testing();
