# 101_security_secrets.pl
#	Passwords are where they have to be and nowhere else: in the catalog, and in the
#	memory of the worker and of sessions of their role.  Here several are used in
#	every way, with success and without, while all that is logged is logged; then
#	they are looked for in the log, in errors, in every view and function, in what
#	the system tells of processes, in shared memory, in the memory of all other
#	processes, and in all files.
#
# Runs in the plain round only.
# Not with sanitizers or valgrind.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Memory;
use PoolTest::Servers;
use PostgreSQL::Test::Utils;
use Test::More;

my $canary = 'canary-7c1f2b';
my ($first, $second, $never) = map { "$canary-$_" } 'first', 'second', 'never';
my $remote = start_remote();
my $local = start_local(
	log_min_messages => 'debug5',
	log_statement => 'all',
	log_connections => 'on',
	log_error_verbosity => 'verbose',
	'pool.log_connections' => 'on',
	shared_buffers => "'4MB'",
	autovacuum => 'off');
my @errors;

# secretly(statement): one that has a password in it, which PostgreSQL would log
# and show in pg_stat_activity
sub secretly
{
	sql($local, "SET log_statement = 'none'; SET log_min_messages = 'info';"
		. "SET log_min_error_statement = 'panic'; SET track_activities = off;\n$_[0]");
	return;
}

# fails(session, what, statement): a test; the error is kept
sub fails
{
	my ($session, $what, $statement) = @_;
	my $result = $session->query($statement);

	push @errors, $result->{err};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return isnt($result->{state}, '00000', "$what is an error: $result->{state}");
}

#
# Passwords in use
#
sql($remote, "CREATE ROLE far_alice LOGIN PASSWORD '$first'");
create_server($local, 'srv', $remote,
	options => { max_size => 2, acquire_timeout => '20min' });
sql($local, "CREATE ROLE $_ LOGIN; GRANT USAGE ON FOREIGN SERVER srv TO $_")
  foreach 'alice', 'bob';
secretly("CREATE USER MAPPING FOR alice SERVER srv OPTIONS (user 'far_alice',"
	  . " password '$first', sslpassword '$never')");
sql($local, "CREATE USER MAPPING FOR bob SERVER srv OPTIONS (user 'app',"
	  . " password '$PoolTest::password')");
my $alice = session($local, user => 'alice');
my $bob = session($local, user => 'bob');
my $who = q(SELECT u FROM pool_query('srv', 'select current_user') AS t(u text));
my $lease = $alice->acquire('srv');

is($alice->query($who)->{out}, 'far_alice', 'alice uses her password');
is($bob->query($who)->{out}, 'app', 'bob uses his');
fails($alice, 'an error of the remote', q(SELECT pool_query('srv', 'select 1 / 0')));
fails($bob, 'a lease of alice, asked for by bob,', "SELECT pool_exec($lease, 'select 1')");

# The old one serves a lease that has begun, and the new one is tried after that.
secretly("ALTER USER MAPPING FOR alice SERVER srv OPTIONS (SET password '$second')");
is($alice->query("SELECT pool_exec($lease, 'select 1')")->{out}, '1', 'a lease goes on');
$alice->release($lease);
fails($alice, 'a wrong password', $who);
sql($remote, "ALTER ROLE far_alice PASSWORD '$second'");
wait_for_value($local, $who, 'far_alice', 'alice uses her new password', user => 'alice');

# Servers that cannot be reached, for whatever reason
my %wrong = (
	unreachable => { port => 1 },
	unknown => { host => 'nowhere.invalid', connect_timeout => '1s' },
	malformed => { hostaddr => '127.0.0.1' },
	misspelt => { target_session_attrs => 'any' },
	unencrypted => { sslmode => 'require' },
	uncertain => { sslmode => 'verify-full', sslrootcert => '/nonexistent' },
	endless => { options => '-c search_path=' . 'x' x 200_000 },
	crowded => { host => join(',', ('127.0.0.1') x 40) });
foreach my $name (sort keys %wrong)
{
	my %options = (host => '127.0.0.1', port => $remote->port, retry_attempts => 0,
		%{ $wrong{$name} });
	my $list = join ', ', map { "$_ '$options{$_}'" } sort keys %options;

	sql($local, "CREATE SERVER $name FOREIGN DATA WRAPPER pool OPTIONS ($list);"
		  . "GRANT USAGE ON FOREIGN SERVER $name TO alice");
	secretly("CREATE USER MAPPING FOR alice SERVER $name OPTIONS (user 'far_alice',"
		  . " password '$never', sslpassword '$never')");
	next if $name =~ /^(malformed|misspelt)$/;
	fails($alice, "a server that is $name", "SELECT pool_query('$name', 'select 1')");
}

# Wrong values that were there before they were refused
my $before = q(UPDATE pg_foreign_server SET srvoptions = array_replace(srvoptions, '%s', '%s'));
sql($local, sprintf $before, @$_)
  foreach [qw(hostaddr=127.0.0.1 hostaddr=x)],
  [qw(target_session_attrs=any target_session_attrs=x)];
fails($alice, "a server that is $_", "SELECT pool_query('$_', 'select 1')")
  foreach 'malformed', 'misspelt';
fails($alice, 'a password on a server',
	"SET log_statement = 'none'; ALTER SERVER srv OPTIONS (ADD password 'x')");

# What administrators do, and another worker
sql($local, "SELECT pool_$_('srv')") foreach 'pause', 'resume', 'reconnect', 'close';
sql($local, 'SELECT pg_terminate_backend(' . worker_pid($local) . ')');
wait_for_value($local, $who, 'far_alice', 'alice uses her password with the next worker',
	user => 'alice', seconds => 30);
is($alice->query($who)->{out}, 'far_alice', 'so does a session from before');
is($bob->query($who)->{out}, 'app', 'and so does bob');
my $waiter = session($local, user => 'alice');
$alice->acquire('srv') foreach 1, 2;
$waiter->begin($who);
wait_for_waiters($local, 1, 'another session of alice waits', 'srv');
my $sender = session($local, user => 'alice');
$sender->query(q(BEGIN; SELECT pool_send('srv', 'select 1')));

#
# Where they are not
#
my $log = slurp_file($local->logfile);
like($log, qr/DEBUG:  /, 'the log has all that can be logged');
like($log, qr/statement: SELECT u FROM pool_query/, 'the log has statements');
like($log, qr/could not connect|pool for server "unreachable"/, 'the log has failures');
unlike($log, qr/$canary/, 'no password is in the log');
unlike(slurp_file($remote->logfile), qr/$canary/, 'no password is in the log of the remote');
like(join("\n", @errors), qr/nowhere\.invalid/, 'errors tell their cause');
unlike(join("\n", @errors), qr/$canary/, 'no password is in an error');

# Every view, and every function without arguments that must be given
my @sources = split /\n/, sql($local, <<'SQL');
SELECT CASE classid WHEN 'pg_proc'::regclass THEN p.proname || '()' ELSE c.relname END
FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND extname = 'pool'
LEFT JOIN pg_proc p ON classid = 'pg_proc'::regclass AND p.oid = objid
LEFT JOIN pg_class c ON classid = 'pg_class'::regclass AND c.oid = objid
WHERE d.deptype = 'e' AND (p.pronargs = p.pronargdefaults OR relkind = 'v')
ORDER BY 1
SQL
cmp_ok(scalar @sources, '>=', 10, 'there are views and functions to look at: ' . @sources);
foreach my $source (grep { $_ ne 'pool_stats_reset()' } @sources, 'pg_stat_activity')
{
	my $rows = sql($local, "SELECT * FROM $source");

	isnt($rows, '', "$source has rows");
	unlike($rows, qr/$canary/, "no password is in $source");
}
my $settings = 'SELECT * FROM pg_settings';
unlike(sql($local, $settings), qr/$canary/, 'no password is in pg_settings');

# What the system tells of processes
my @processes = processes_of($local);
cmp_ok(scalar @processes, '>=', 8, 'the server has processes: ' . @processes);
foreach my $file ('cmdline', 'environ', 'maps', 'comm', 'status')
{
	my $all = join "\n", map { eval { slurp_file("/proc/$_/$file") } || '' } @processes;

	like($all, qr/./, "/proc tells $file of processes");
	unlike($all, qr/$canary/, "no password is in $file of a process");
}
unlike(join("\n", map { descriptors($_) } @processes), qr/$canary/,
	'no password is in the name of an open file');

SKIP:
{
	my $worker = worker_pid($local);

	skip 'the memory of processes cannot be read here', 8 if !memory_is_readable($worker);

	# Buffers of the catalog's and the log's pages, where PostgreSQL has them
	my @in = in_shared_memory($local, qr/$canary/);
	ok((grep { $_ eq 'Buffer Blocks' } @in), 'a password is found in the pages of the catalog');
	is(join(', ', grep { !/^(Buffer Blocks|XLOG Ctl)$/ } @in),
		'', 'a password is nowhere else in shared memory');

	# Those that use it have it.
	cmp_ok(in_private_memory($worker, qr/$canary/), '>', 0,
		'a password is in the memory of the worker, which connects');
	is(in_private_memory($bob->pid, qr/$canary/), 0,
		'no password of alice is in the memory of a session of bob');
	my @others = grep {
		my $pid = $_;
		!(grep { $pid == $_ } $worker, map { $_->pid } $alice, $waiter, $sender)
		  && in_private_memory($pid, qr/$canary/);
	} @processes;
	is("@others", '', 'no password is in the memory of any other process');

	# The worker has it for as long as there is a mapping.
	my $kept = qr/password\0$canary/;
	cmp_ok(in_private_memory($worker, $kept), '>', 0,
		'the worker keeps a password for each mapping');
	$_->quit foreach $alice, $waiter;
	sql($local, 'DROP SERVER ' . join(', ', 'srv', keys %wrong) . ' CASCADE');
	wait_for_value($local, 'SELECT count(*) FROM pool_stats', 0,
		'the pools go with their servers');
	is(in_private_memory($worker, $kept), 0,
		'the worker keeps no password of a mapping that was dropped');
}

# Files: the catalog has it, and the log of what was written
sql($local, 'CHECKPOINT');
my $catalog = sql($local, q(SELECT pg_relation_filepath('pg_user_mapping')));
my $found = join "\n", map { s{^\Q${\$local->data_dir}\E/}{}r }
  split /\n/, `grep -rls -e '$canary' '${\$local->data_dir}'`;
like($found, qr/^\Q$catalog\E$/m, 'a password is in the file of the catalog');
unlike($found, qr/^(?!\Q$catalog\E$|pg_wal\/)./m, 'a password is in no other file');

$bob->quit;
no_crash($local, $remote);
done_testing();
