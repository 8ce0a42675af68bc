# 100_security_libpq.pl
#	The options that libpq has, as this machine's libpq names them, and where each
#	may be written and by whom: compared with a list here.  One that a newer libpq
#	brings makes this fail until somebody has decided about it.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

# s: on a server; m: on a user mapping; S, M: there, by a superuser only; -: nowhere
my %place = (
	(map { ($_ => 's') } qw(host hostaddr port dbname options application_name connect_timeout
		keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout
		sslmode sslcompression sslrootcert sslcrl sslcrldir sslsni channel_binding
		ssl_min_protocol_version ssl_max_protocol_version requirepeer gssencmode gsslib
		target_session_attrs krbsrvname)),
	user => 'm', password => 'm', sslpassword => 'm',
	sslcert => 'M', sslkey => 'M',
	passfile => 'S', service => 'S',
	(map { ($_ => '-') } qw(client_encoding fallback_application_name replication
		authtype tty)),

	# libpq 16, 17 and 18
	(map { ($_ => 's') } qw(require_auth load_balance_hosts sslcertmode sslnegotiation
		min_protocol_version max_protocol_version)),
	gssdelegation => 'S', servicefile => 'S',
	(map { ($_ => '-') } qw(oauth_issuer oauth_client_id oauth_client_secret oauth_scope
		sslkeylogfile scram_client_key scram_server_key)));

# A value that is right where the value is looked at
my %value = (
	sslmode => 'require',
	gssencmode => 'disable',
	channel_binding => 'prefer',
	target_session_attrs => 'any',
	ssl_min_protocol_version => 'TLSv1.2',
	ssl_max_protocol_version => 'TLSv1.3',
	sslcertmode => 'allow',
	sslnegotiation => 'postgres',
	load_balance_hosts => 'disable',
	connect_timeout => '5',
	min_protocol_version => '3.0',
	max_protocol_version => '3.0');

my $program = PostgreSQL::Test::Utils::tempdir . '/options';
my ($include) = `pg_config --includedir` =~ /(.*)/;
system_or_bail('cc', "-I$include", '-o', $program, "$FindBin::RealBin/libpq_options.c", '-lpq');
my @options = split /\n/, `$program`;
cmp_ok(scalar @options, '>', 30, 'libpq has options');

my $local = start_local();
sql($local, <<'SQL');
CREATE ROLE owner LOGIN;
GRANT USAGE ON FOREIGN DATA WRAPPER pool TO owner;
CREATE SERVER srv FOREIGN DATA WRAPPER pool;
GRANT USAGE ON FOREIGN SERVER srv TO owner;
SQL
my %session = (super => session($local), owner => session($local, user => 'owner'));

# may(role, option, object): can it be written there?
sub may
{
	my ($role, $option, $object) = @_;
	my $value = exists $value{$option} ? $value{$option} : '1';
	my $what = $object eq 'server'
	  ? 'SERVER new FOREIGN DATA WRAPPER pool' : 'USER MAPPING FOR CURRENT_USER SERVER srv';
	my $got = $session{$role}->query("BEGIN; CREATE $what OPTIONS ($option '$value')");

	$session{$role}->query('ROLLBACK');
	return $got->{state};
}

foreach my $option (@options)
{
	my $place = $place{$option};

	ok(defined $place, "somebody has decided where $option may be written") or next;
	foreach my $object ('server', 'mapping')
	{
		my $here = lc $place eq substr $object, 0, 1;
		my $guarded = $place =~ /[SM]/;

		is(may('super', $option, $object), $here ? '00000' : 'HV00D',
			"$option can" . ($here ? '' : 'not') . " be written on a $object by a superuser");
		is(may('owner', $option, $object), $here ? $guarded ? '42501' : '00000' : 'HV00D',
			"$option can" . ($here && !$guarded ? '' : 'not')
			  . " be written on a $object by its owner");
	}
}
$_->quit foreach values %session;
no_crash($local);

done_testing();
