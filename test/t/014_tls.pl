# 014_tls.pl
#	Encrypted remotes: every sslmode means what it means to libpq, nothing is
#	downgraded, certificates speak only for those who may have them; the relay
#	holds back who is too fast, keeps nobody else waiting and passes on how a
#	connection ended; cancels are encrypted; and the manual's example works.

use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
use IO::Select;
use IO::Socket::INET;
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $tests = abs_path("$FindBin::RealBin/..");
run_log([ 'bash', "$tests/certificates.sh", $dir ]) or die 'no certificates';

my $hba = <<"HBA";
local all all trust
hostssl all by_cert 127.0.0.1/32 cert
hostssl all by_both 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
hostnossl all only_tls 127.0.0.1/32 reject
hostssl all only_plain 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
HBA

# The remote that has TLS, and one that has not.
my $tls = start_remote(tls_conf($dir), ssl_ca_file => "'$dir/ca.crt'");
my $plain = start_remote(name => 'plain');
unlink $tls->data_dir . '/pg_hba.conf';
append_to_file($tls->data_dir . '/pg_hba.conf', $hba);
$tls->reload;
sql($tls, "CREATE ROLE $_ LOGIN PASSWORD '$PoolTest::password'")
  foreach 'by_cert', 'by_both', 'only_tls', 'only_plain';

my $local = start_local();
my $number = 0;

# server(remote, options, how): a new server's name
sub server
{
	my ($remote, $options, %how) = @_;
	my $name = 's' . ++$number;

	create_server($local, $name, $remote, %how,
		options => { retry_attempts => 3, %$options });
	return $name;
}

# transport(server): how it is connected, as pool and the remote say it
sub transport
{
	my ($server, $remote) = @_;
	my ($state, $err, $there) = sql_state($local, <<"SQL");
SELECT format('%s %s', version, cipher)
FROM pool_query('$server', 'select version, cipher from pg_stat_ssl where pid = pg_backend_pid()')
	AS t(version text, cipher text)
SQL
	my $here = sql($local,
		"SELECT DISTINCT format('%s %s', tls_version, tls_cipher), relayed"
		  . " FROM pool_connections WHERE server = '$server'");

	return "$state $err" if $state ne '00000';
	return 'direct' if "$there|$here" eq ' | |f';
	return 'relayed' if $there =~ /^TLSv1\.\d \S+$/ && $here eq "$there|t";
	return "there $there, here $here";
}

# refused(options, pattern, what, how): not connected, for that reason, and not
# tried a second time
sub refused
{
	my ($remote, $options, $pattern, $what, %how) = @_;
	my $name = server($remote, $options, %how);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(transport($name), $pattern, $what);
	is(stat_of($local, 'connect_errors || $$/$$ || connects', $name),
		'1/0', "$what: one attempt");
	return;
}


# Every mode with a remote that has TLS, and with one that has not.
my %ca = (sslrootcert => "$dir/ca.crt");
my %host = (host => 'localhost', hostaddr => '127.0.0.1');

is(transport(server($tls, {})), 'relayed', 'no sslmode: TLS if it is there');
is(transport(server($tls, { sslmode => $_->[0] })), $_->[1], "$_->[0]: $_->[1]")
  foreach [ 'disable', 'direct' ], [ 'allow', 'direct' ], [ 'prefer', 'relayed' ],
  [ 'require', 'relayed' ];
is(transport(server($tls, { %host, %ca, sslmode => $_ })), 'relayed', "$_: relayed")
  foreach 'verify-ca', 'verify-full';
is(transport(server($plain, { sslmode => $_ })), 'direct', "$_ without TLS there: direct")
  foreach 'disable', 'allow', 'prefer';
refused($plain, { sslmode => $_, %ca }, qr/^08001 .*SSL, but SSL was required/s,
	"$_ without TLS there")
  foreach 'require', 'verify-ca', 'verify-full';

# The remote's own rules: no fallback but those of the mode.
refused($tls, { sslmode => 'disable' }, qr/^28000 .*no encryption/s,
	'disable where TLS is wanted', user => 'only_tls');
is(transport(server($tls, { sslmode => 'allow' }, user => 'only_tls')),
	'relayed', 'allow: with TLS if it cannot be without');
is(transport(server($tls, { sslmode => 'prefer' }, user => 'only_plain')),
	'direct', 'prefer: without TLS if it cannot be with');
refused($tls, { sslmode => 'require' }, qr/^28000 .*SSL encryption/s,
	'require where TLS is refused', user => 'only_plain');

# Certificates of the remote.
my %other = (sslrootcert => "$dir/other.crt");
refused($tls, { %host, %other, sslmode => $_ }, qr/^08001 .*certificate verify failed/s,
	"$_ with another CA")
  foreach 'verify-ca', 'verify-full';
refused($tls, { %host, sslrootcert => "$dir/none.crt", sslmode => 'verify-ca' },
	qr/^08001 .*root certificate file .* does not exist/s, 'a CA that is not there');
my %wrong = (host => 'elsewhere.example', hostaddr => '127.0.0.1', %ca);
refused($tls, { %wrong, sslmode => 'verify-full' }, qr/^08001 .*does not match host name/s,
	'verify-full with another name');
is(transport(server($tls, { %wrong, sslmode => 'verify-ca' })),
	'relayed', 'verify-ca does not look at the name');

# Protocol versions and channel binding.
my $old = server($tls, { ssl_max_protocol_version => 'TLSv1.2' });
is(transport($old), 'relayed', 'an older protocol');
is(sql($local, "SELECT DISTINCT tls_version FROM pool_connections WHERE server = '$old'"),
	'TLSv1.2', 'is the one that was asked for');
is( sql($local,
		"SELECT count(*), sum(length(t)) FROM pool_query('$old',"
		  . " 'select repeat(n::text, 100) from generate_series(1, 100000) n') AS r(t text)"),
	'100000|48889500',
	'and passes on large results');
is(transport(server($tls, { channel_binding => 'require' })), 'relayed', 'channel binding');
refused($tls, { channel_binding => 'require', sslmode => 'disable' },
	qr/^08001 .*channel binding/s, 'channel binding without TLS');


# Certificates of clients: a superuser may lend one to a mapping.
my %client = (sslcert => "$dir/client.crt", sslkey => "$dir/client.key");

# with_mapping(server, role, mapping options): a mapping with these
sub with_mapping
{
	my ($name, $role, %options) = @_;
	my $list = join ', ', map { "$_ '$options{$_}'" } sort keys %options;

	sql($local, "DROP USER MAPPING IF EXISTS FOR $role SERVER $name;"
		  . "CREATE USER MAPPING FOR $role SERVER $name OPTIONS ($list)");
	return;
}

# as(role, server): what becomes of a query
sub as
{
	my ($role, $name) = @_;
	my ($state, $err) =
	  sql_state($local, "SELECT pool_query('$name', 'select 1')", user => $role);

	return "$state $err";
}

sql($tls, 'ALTER ROLE by_cert RENAME TO app_cert');
append_to_file($tls->data_dir . '/pg_ident.conf', "lent app app_cert\n");
unlink $tls->data_dir . '/pg_hba.conf';
$hba =~ s/by_cert 127.0.0.1\/32 cert/app_cert 127.0.0.1\/32 cert map=lent/;
append_to_file($tls->data_dir . '/pg_hba.conf', $hba);
$tls->reload;
sql($local, 'CREATE ROLE clerk LOGIN');

my $lent = server($tls, { sslmode => 'require' });
sql($local, "GRANT USAGE ON FOREIGN SERVER $lent TO clerk");
with_mapping($lent, 'postgres', user => 'app_cert', %client);
is(as('postgres', $lent), '00000 ', 'a certificate instead of a password');
with_mapping($lent, 'postgres', user => 'app_cert');
like(as('postgres', $lent), qr/^28000 .*client certificate/s, 'and not without it');
with_mapping($lent, 'clerk', user => 'by_both', password => $PoolTest::password, %client);
is(as('clerk', $lent), '00000 ', 'lent to a role that shows a password, too');
with_mapping($lent, 'clerk', user => 'app_cert', password => $PoolTest::password, %client);
like(as('clerk', $lent), qr/^2F003 .*password is required/s,
	'but not to one whose password nobody asks for');
with_mapping($lent, 'clerk', user => 'app_cert', password_required => 'false', %client);
is(as('clerk', $lent), '00000 ', 'unless a superuser says so');

sql($local, "CREATE ROLE owner LOGIN; ALTER SERVER $lent OWNER TO owner;"
	  . 'GRANT USAGE ON FOREIGN DATA WRAPPER pool TO owner');
is( (   sql_state($local,
			"CREATE USER MAPPING FOR owner SERVER $lent OPTIONS"
			  . " (user 'by_both', password 'x', $_ '$client{$_}')",
			user => 'owner'))[0],
	'42501',
	"$_ is for superusers to give")
  foreach sort keys %client;

# What lies in the home directory of the server's user is not lent to others.
my $home = "$ENV{HOME}/.postgresql";
mkdir $home;
system_or_bail('cp', "$dir/client.$_", "$home/postgresql.$_") foreach 'crt', 'key';
my $default = server($tls, { sslmode => 'require' }, user => 'by_both');
sql($local, "GRANT USAGE ON FOREIGN SERVER $default TO clerk");
with_mapping($default, 'clerk', user => 'by_both', password => $PoolTest::password);
is(as('postgres', $default), '00000 ', 'the default certificate serves a superuser');
like(as('clerk', $default), qr/^28000 .*client certificate/s, 'and nobody else');
with_mapping($default, 'clerk', user => 'by_both', password => $PoolTest::password,
	password_required => 'false');
is(as('clerk', $default), '00000 ', 'unless a superuser trusts the mapping');
unlink glob "$home/*";
rmdir $home;


# Who reads slowly holds back the remote, not the worker's memory, and keeps
# nobody waiting.
my $worker = sql($local,
	q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker'));

sub worker_memory
{
	return slurp_file("/proc/$worker/status") =~ /VmRSS:\s+(\d+) kB/ ? $1 : die;
}

my $busy = server($tls, { max_size => 4 });
my $ask = qq(SELECT t FROM pool_query('$busy', 'select 42') AS r(t int));
my $slow = session($local);
my $other = session($local);
is($_->query($ask)->{out}, '42', 'a session') foreach $slow, $other;
is(sql($local, "SELECT count(*) FROM pool_connections WHERE server = '$busy'"),
	'1', 'share a connection');
my $before = worker_memory();
my $descriptors = () = glob "/proc/$worker/fd/*";

$slow->begin(<<"SQL");
SELECT count(*), sum(length(t))
FROM pool_query('$busy', 'select repeat(''x'', 10000) from generate_series(1, 30000)') AS r(t text)
SQL
my $blocked = q(SELECT count(*) FROM pg_stat_activity
	WHERE usename = 'app' AND wait_event = 'ClientWrite');
wait_until(10, sub { return sql($tls, $blocked) ne '0' || !$slow->busy });
kill 'STOP', $slow->pid;
wait_for_value($tls, $blocked, 1, 'the remote is held back');
is($other->query($ask)->{out}, '42', 'another session gets answers');
cmp_ok(worker_memory() - $before, '<', 20_000, 'the worker keeps no more than a little');
kill 'CONT', $slow->pid;
is($slow->result->{out}, '30000|300000000', 'and nothing is lost');

# The other way round.
$slow->query('BEGIN');
my $lease = $slow->query("SELECT pool_acquire('$busy')")->{out};
my $target = $slow->query(
	"SELECT pid FROM pool_query($lease, 'select pg_backend_pid()') AS t(pid int)")->{out};
kill 'STOP', $target;
$slow->begin(<<"SQL");
SELECT n FROM pool_query($lease, 'select length(\$1)', repeat('y', 100000000)) AS r(n int)
SQL
wait_for_value($local,
	'SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $slow->pid,
	'Extension', 'the session is held back');
is($other->query($ask)->{out}, '42', 'a remote that reads slowly: others get answers');
cmp_ok(worker_memory() - $before, '<', 20_000, 'and the worker keeps a little');
kill 'CONT', $target;
is($slow->result->{out}, '100000000', 'nothing is lost');
$slow->query('COMMIT');

# Both ends write at once and nobody reads for a while.
is( $slow->query(
		"SELECT length(t) FROM pool_query('$busy', 'select repeat(\$1, 3)',"
		  . " repeat('z', 20000000)) AS r(t text)")->{out},
	'60000000',
	'large both ways');

# Many at once over few connections.
my @crowd = map { session($local) } 1 .. 8;
$_->begin(<<"SQL") foreach @crowd;
DO \$\$
DECLARE
	got record;
BEGIN
	FOR i IN 1..20 LOOP
		SELECT count(*) AS n, sum(length(t)) AS len, min(t) AS low, max(t) AS high INTO got
		FROM pool_query('$busy', format('select repeat(%L, 100) from generate_series(1, 2000)', pg_backend_pid()))
			AS r(t text);
		ASSERT got.n = 2000 AND got.low = repeat(pg_backend_pid()::text, 100) AND got.low = got.high;
		SELECT t AS n INTO got FROM pool_query('$busy', 'select \$1::text', pg_backend_pid() || '/' || i) AS r(t text);
		ASSERT got.n = pg_backend_pid() || '/' || i;
	END LOOP;
END \$\$
SQL
is($_->result->{err}, '', 'results of many sessions do not mix') foreach @crowd;
$_->quit foreach @crowd;
settled($local, 'after large results');


# Descriptors come back when connections are closed.
sql($local, "ALTER SERVER $busy OPTIONS (ADD application_name 'new')");
is($other->query($ask)->{out}, '42', 'replaced');
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE server = '$busy'",
	1, 'one is left');
ok( wait_until(
		10,
		sub {
			my $now = () = glob "/proc/$worker/fd/*";
			return $now == $descriptors;
		}),
	'the worker has as many descriptors as before, when it had one as well');


# A proxy that sees what goes over the wire, and can cut it.
my $listen = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1') or die;
my ($seen, $cut) = ("$dir/seen", "$dir/cut");
my $proxy = fork();
die if !defined $proxy;
if (!$proxy)
{
	my $all = IO::Select->new($listen);
	my (%peer, %begun);

	while (1)
	{
		foreach my $from ($all->can_read(0.02))
		{
			if ($from == $listen)
			{
				my $near = $listen->accept;
				my $far = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $tls->port);

				next if !$near || !$far;
				$all->add($near, $far);
				@peer{ $near, $far } = ($far, $near);
				$begun{$near} = '';
				next;
			}
			my $to = $peer{$from} or next;
			my $got = sysread $from, my $data, 65536;
			if (!$got)
			{
				$all->remove($from, $to);
				close $_ foreach $from, $to;
				next;
			}
			if (defined $begun{$from} && length $begun{$from} < 8)
			{
				$begun{$from} .= $data;
				append_to_file($seen, unpack('N', substr $begun{$from}, 4, 4) . "\n")
				  if length $begun{$from} >= 8;
			}
			syswrite $to, substr $data, 0, length $data, '' while length $data;
		}
		if (unlink $cut)
		{
			foreach my $socket ($all->handles)
			{
				next if $socket == $listen;
				setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0;
				$all->remove($socket);
				close $socket;
			}
		}
	}
}

# seen(): how the connections through it began
sub seen
{
	return -e $seen ? slurp_file($seen) : '';
}

my $proxied = server($tls, { port => $listen->sockport, sslmode => 'require', max_size => 2 });
close $listen;
is(transport($proxied), 'relayed', 'through a proxy');
my $request = 80877103;    # SSLRequest, after which all is encrypted
is(seen(), "$request\n", 'the connection begins with a request for TLS');
my $sleeping = session($local, options => '-c statement_timeout=500');
is($sleeping->query("SELECT pool_query('$proxied', 'select pg_sleep(60)')")->{state},
	'57014', 'a cancel');
wait_for_value($tls,
	q(SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active'
		AND pid <> pg_backend_pid()),
	0, 'reaches the remote');
cmp_ok(stat_of($local, 'cancels', $proxied), '>=', 1, 'is counted');
wait_for_value($local,
	"SELECT count(*) FROM pool_connections WHERE server = '$proxied' AND state = 'closing'",
	0, 'the connection is closed');
like(seen(), qr/^($request\n){2,}$/, 'and does not show the key');
$sleeping->quit;

# A connection that is cut.
my $log = log_offset($local);
my $victim = session($local);
is($victim->query("SELECT pool_query('$proxied', 'select 1')")->{out}, '(1)', 'works');
$victim->begin("SELECT count(*) FROM pool_query('$proxied',"
	  . " 'select n, pg_sleep(0.001) from generate_series(1, 100000) n') AS t(n int, s text)");
wait_for_value($tls,
	q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'),
	1, 'a statement is running');
append_to_file($cut, '');
my $answer = $victim->result(30);
is($answer->{state}, '08006', 'cut in the middle');
like($answer->{err}, qr/may have been executed or not/, 'says what is not known');
ok( wait_until(
		10,
		sub {
			return log_since($local, $log) =~
			  /lost its connection to .* remote process \d+: Connection reset by peer/;
		}),
	'the log has the cause');
is($victim->query("SELECT pool_query('$proxied', 'select 2')")->{out}, '(2)', 'and it goes on');

# Cut while idle.
is(sql($local, "SELECT count(*) FROM pool_connections WHERE server = '$proxied'"), '1',
	'one is idle');
append_to_file($cut, '');
wait_for_value($local,
	"SELECT count(*) FROM pool_connections WHERE server = '$proxied'", 0, 'cut while idle: gone');
is($victim->query("SELECT pool_query('$proxied', 'select 3')")->{out}, '(3)', 'and replaced');

# Cut while the worker resets it.
sql($local, "ALTER SERVER $proxied OPTIONS (ADD reset_query 'select pg_sleep(60)')");
$victim->query("SELECT pool_release(pool_acquire('$proxied'))");
$victim->query('BEGIN');
$lease = $victim->query("SELECT pool_acquire('$proxied')")->{out};
$victim->query("SELECT pool_exec($lease, 'select 1')");
$victim->query('COMMIT');
wait_for_value($local,
	"SELECT string_agg(DISTINCT state, ',') FROM pool_connections WHERE server = '$proxied'",
	'resetting', 'the worker resets');
append_to_file($cut, '');
wait_for_value($local,
	"SELECT count(*) FROM pool_connections WHERE server = '$proxied'", 0, 'cut in a reset: gone');
is(sql($local, q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker')),
	$worker, 'and the worker goes on');
wait_for_value($tls,
	q(SELECT count(*) FROM pg_stat_activity WHERE query = 'select pg_sleep(60)' AND state = 'active'),
	0, 'the reset is cancelled on the remote');
$_->quit foreach $victim, $slow, $other;
sql($local, "DROP SERVER $proxied CASCADE");
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE server = '$proxied'",
	0, 'all of it is closed');
kill 'KILL', $proxy;
waitpid $proxy, 0;


# What the manual says.
my $manual = slurp_file("$tests/../doc/tls.md");
my ($shell) = $manual =~ /^## An encrypted remote.*?^```sh\n(.*?)^```/ms;
my ($example) = $manual =~ /^## An encrypted remote.*?^```sql\n(.*?)^```/ms;
my $bank = start_remote(name => 'bank');
my $data = $bank->data_dir;
my $there = $bank->port;
ok(run_log([ 'bash', '-ec', "cd '$data'\n$shell" ]), 'manual: the commands');
$bank->append_conf('postgresql.conf', "ssl = on\n");
unlink "$data/pg_hba.conf";
append_to_file("$data/pg_hba.conf", "local all all trust\nhostssl all all all scram-sha-256\n");
$bank->restart;
sql($bank, 'CREATE DATABASE bank');
ok($example =~ s/host 'db2.example'/host 'db2.example', hostaddr '127.0.0.1', port '$there'/
	  && $example =~ s/\/etc\/postgresql\/ca.crt/$data\/ca.crt/,
	'manual: this host and this file instead of those');
like(sql($local, $example), qr/^\(TLSv1\.3\)\n(.*\n)*bank\|idle\|t\|TLSv1\.3\|TLS_\w+$/m,
	'manual: the statements');
is(sql($local, q(SELECT relayed, tls_version FROM pool_connections WHERE server = 'bank')),
	't|TLSv1.3', 'manual: what they show');

settled($local);
no_crash($local, $tls, $plain);

# A worker that may not open enough files says so, and goes on.
my $few = start_local(name => 'few', max_files_per_process => 64);
create_server($few, 'srv', $tls, options => { max_size => 50, sslmode => 'require' });
sql_state($few, q(SET pool.acquire_timeout = '5s'; SELECT pool_prewarm('srv', 50)));
like(stat_of($few, 'last_error'), qr/too many files are open/, 'out of descriptors');
is(sql($few, q(SELECT pool_query('srv', 'select 1'))), '(1)', 'those that it has work');
settled($few);
no_crash($few);

done_testing();
