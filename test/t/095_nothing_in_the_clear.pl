# 095_nothing_in_the_clear.pl
#	What must not be seen: the key of a cancel does not go to a remote that has
#	refused to encrypt, passwords do not stay in the worker's memory when they are
#	of no use any more, and libpq's words mean the same to the worker in every
#	language.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Select;
use IO::Socket::INET;
use PoolTest;
use PoolTest::Child;
use PoolTest::Memory;
use PoolTest::Tls;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = make_certificates();
my $tls = start_tls_remote($dir);
my $plain = start_remote(name => 'plain');

# catalog(file, text, translation...): what gettext reads
sub catalog
{
	my ($file, @texts) = @_;
	my %text = ('' => "Content-Type: text/plain; charset=UTF-8\n", @texts);
	my @from = sort keys %text;
	my $n = @from;
	my $at = 28 + 16 * $n;
	my ($strings, @tables) = ('');

	foreach my $list (\@from, [ @text{@from} ])
	{
		foreach my $string (@$list)
		{
			push @tables, length $string, $at + length $strings;
			$strings .= "$string\0";
		}
	}
	append_to_file($file, pack('L*', 0x950412de, 0, $n, 28, 28 + 8 * $n, 0, 0, @tables) . $strings);
	return;
}

# german(): the environment of a server whose libpq speaks another language; nothing
# where there is no locale to make one of
sub german
{
	my $made = PostgreSQL::Test::Utils::tempdir();
	my ($locale) = grep { -d } '/usr/lib/locale/C.utf8', '/usr/lib/locale/C.UTF-8';
	my ($library) = map { /(\/\S*libpq\.so\S*)/ } `ldd \$(command -v psql)`;
	my ($domain) = $library ? slurp_file($library) =~ /\b(libpq5-\d+)\0/ : ();
	my $words = 'server does not support SSL, but SSL was required';

	return if !$locale || !$domain;
	system_or_bail('cp', '-r', $locale, "$made/de_DE.utf8");
	mkdir "$made/$_" or die $! foreach 'de', 'de/LC_MESSAGES';
	catalog("$made/de/LC_MESSAGES/$domain.mo",
		$words => 'kein SSL', "$words\n" => "kein SSL\n");
	return (LOCPATH => $made, PGLOCALEDIR => $made);
}

my %german = german();
my $local;
{
	local %ENV = (%ENV, %german);
	delete $ENV{LC_ALL};
	$local = start_local(%german ? (lc_messages => "'de_DE.UTF-8'") : ());
}
my $worker = worker_pid($local);

#
# A proxy that lets the first connection encrypt, and then refuses that
#
my $listen = mute_remote();
my $seen = "$dir/seen";
my $proxy = start_child(\&proxy);

sub proxy
{
	my ($goes_on) = @_;
	my $all = IO::Select->new($listen);
	my (%peer, $refuses);

	while ($goes_on->())
	{
		foreach my $from ($all->can_read(0.02))
		{
			if ($from == $listen)
			{
				my $near = $listen->accept or next;

				$all->add($near);
				next if $refuses++;
				my $far =
				  IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $tls->port);
				@peer{ $near, $far } = ($far, $near);
				$all->add($far);
			}
			elsif (sysread $from, my $data, 65536)
			{
				my $to = $peer{$from};

				syswrite $to, substr $data, 0, length $data, '' while $to && length $data;
				next if $to;
				append_to_file($seen, unpack('x4 N', $data) . "\n");
				syswrite $from, 'N';
			}
			else
			{
				my $to = delete $peer{$from};

				delete $peer{$to} if $to;
				$all->remove(grep { $_ } $from, $to);
				close $_ foreach grep { $_ } $from, $to;
			}
		}
	}
	return;
}

my $proxied = new_server($local, $tls, { port => $listen->sockport, sslmode => 'prefer' });
close $listen;
is(transport($local, $proxied), 'relayed',
	'a connection is encrypted since the remote can do that');
my $session = session($local, options => '-c statement_timeout=5s');
is($session->query("SELECT pool_query('$proxied', 'select pg_sleep(600)')")->{state}, '57014',
	'the statement of an encrypted connection is cancelled');
my $request = 80877103;    # for encryption
ok(wait_until(20, sub { return -s $seen }), 'a cancel request is begun');
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE server = '$proxied'", 0,
	'the connection is given up', seconds => 30);
like(slurp_file($seen), qr/^($request\n)+$/,
	'a cancel request that cannot be encrypted is not sent');
stop_child($proxy);
sql($tls, q(SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'app'));

#
# Notifications that nobody reads are on their way when the worker wants the connection
# for itself: it does not take them for its answer.
#
my $chatty = new_server($local, $tls,
	{ sslmode => 'require', max_size => 1, reset_query => '', health_check_interval => '1s' });
is($session->query("SELECT pool_exec('$chatty', 'listen flood')")->{err}, '',
	'an encrypted connection is left listening');
sql($tls, q(SELECT count(pg_notify('flood', n || repeat('x', 7000)))
	FROM generate_series(1, 1000) AS n), db => $PoolTest::remote_db);
wait_for_value($local,
	"SELECT closed_unclean || '/' || closed FROM pool_stats_all() WHERE server = '$chatty'",
	'1/1', 'a connection with bytes on their way is closed instead of being checked',
	seconds => 30);
$session->quit;

#
# What the worker has of a password: one copy, as long as it is to connect with that.
#
my $canary = 'canary' . int(rand(1e9)) . 'X';
my $options = sub { return in_private_memory($worker, qr/password\0$canary$_[0]\0user\0/) };
sql($plain, "CREATE ROLE guarded LOGIN PASSWORD '${canary}1'");
create_server($local, 'secret', $plain, user => 'guarded', password => "${canary}1",
	options => { dbname => 'postgres' });
SKIP:
{
	skip 'the memory of the worker cannot be read here', 8 if !memory_is_readable($worker);

	is(sql($local, select_42('secret')), '42', 'the password is right');
	is($options->(1), 1, 'the worker has the password of a pool in memory once');
	is(in_private_memory($worker, qr/\tBackendKeyData\t \d+ -?\d+/), 0,
		'the worker has no trace of how it has connected in memory');
	sql($plain, "ALTER ROLE guarded PASSWORD '${canary}2'");
	sql($local, 'ALTER USER MAPPING FOR CURRENT_USER SERVER secret'
		. " OPTIONS (SET password '${canary}2')");
	is(sql($local, select_42('secret')), '42', 'another password is right');
	is($options->(1), 0, 'a password that was changed does not stay in memory');
	is($options->(2), 1, 'the one in its place is there once');
	sql($local, 'DROP SERVER secret CASCADE');
	wait_for_value($local, q(SELECT count(*) FROM pool_stats WHERE server = 'secret'), 0,
		'the pool of a dropped server goes');
	is($options->(2), 0, 'a password of a dropped server does not stay in memory');
}

#
# In another language: what cannot be cured is tried once.
#
SKIP:
{
	skip 'there is no other language here', 2 if !%german;
	my $server = new_server($local, $plain, { sslmode => 'require', retry_attempts => 3 });
	my ($out, $err) = ('', '');

	{
		local %ENV = (%ENV, %german, LC_ALL => 'de_DE.UTF-8');
		IPC::Run::run(
			[ 'psql', '-X', '-d', 'user=app host=127.0.0.1 sslmode=require port=' . $plain->port ],
			'<', \undef, '>', \$out, '2>', \$err);
	}
	skip 'libpq is not translated here', 2 if $err !~ /kein SSL/;
	like(transport($local, $server), qr/^08001 .*SSL, but SSL was required/s,
		'the worker has the words of libpq in English');
	is(stat_of($local, 'connect_errors', $server), '1',
		'what no retry cures is tried once, whatever the language of the server');
}

settled($local);
no_crash($local, $tls, $plain);
done_testing();
