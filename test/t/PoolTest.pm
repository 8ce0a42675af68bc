# PoolTest.pm
#	What the tests here share: a local server with pool and a remote one, psql
#	sessions that can be left waiting, and what must hold at the end of a test.
#
# Nothing waits for a fixed time: everything is looked at again and again until
# it is so or a deadline has passed.  The deadlines are far longer than what
# pool promises, so that a busy machine does not fail a test.

package PoolTest;

use strict;
use warnings;

use Exporter qw(import);
use Time::HiRes qw(time usleep);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  start_remote start_local start_pair tls_conf create_server session
  sql sql_state wait_until wait_for_value stat_of app_sessions log_offset
  log_since log_count settled remote_count no_crash
);

# What a test may take for granted of the remote: this role and this database.
our $password = 'secret';
our $remote_db = 'far';

# The directory with certificates, if all remotes are to insist on TLS.
our $tls = $ENV{POOL_TEST_TLS};

# start_remote(settings): a server that wants a password on 127.0.0.1
sub start_remote
{
	my (%conf) = @_;
	my $name = delete $conf{name} || 'remote';
	my $node = PostgreSQL::Test::Cluster->new($name);

	%conf = (tls_conf($tls), %conf) if $tls;
	$node->init;
	_configure($node, %conf, listen_addresses => "'127.0.0.1'");
	hba($node, 'scram-sha-256');
	$node->start;
	$node->safe_psql('postgres',
		"CREATE ROLE app LOGIN PASSWORD '$password'");
	$node->safe_psql('postgres', "CREATE DATABASE $remote_db OWNER app");
	return $node;
}

# tls_conf(directory): the settings of a server that has certificates there
sub tls_conf
{
	my ($dir) = @_;

	return (
		ssl => 'on',
		ssl_cert_file => "'$dir/server.crt'",
		ssl_key_file => "'$dir/server.key'");
}

# hba(node, method, line...): how a remote lets in those who come by TCP
sub hba
{
	my ($node, $method, @first) = @_;
	my $file = $node->data_dir . '/pg_hba.conf';
	my $host = $tls ? 'hostssl' : 'host';

	unlink $file;
	append_to_file(
		$file,
		join("\n",
			@first,
			'local all all trust',
			"$host all all 127.0.0.1/32 $method",
			''));
	return;
}

# start_local(settings): a server with pool; the extension is in "postgres"
sub start_local
{
	my (%conf) = @_;
	my $name = delete $conf{name} || 'local';
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	_configure($node, shared_preload_libraries => 'pool', %conf);
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pool');
	return $node;
}

# start_pair(server options): both servers, and "srv" from one to the other
sub start_pair
{
	my (%options) = @_;
	my $remote = start_remote();
	my $local = start_local();

	create_server($local, 'srv', $remote, options => \%options);
	return ($local, $remote);
}

sub _configure
{
	my ($node, %conf) = @_;

	# The tests' own statements would only drown what they look for.
	%conf = (log_statement => 'none', %conf);
	$node->append_conf('postgresql.conf', "$_ = $conf{$_}\n")
	  for sort keys %conf;
	return;
}

# create_server(local, name, remote, how): a server and a mapping for the
# superuser (how: db, options, user, password, dbname, for)
sub create_server
{
	my ($local, $name, $remote, %how) = @_;
	my %options = (
		host => '127.0.0.1',
		port => $remote->port,
		dbname => $remote_db,
		%{ $how{options} || {} });
	my $list = join ', ', map { "\"$_\" '$options{$_}'" } sort keys %options;
	my $user = defined $how{user} ? $how{user} : 'app';
	my $secret = defined $how{password} ? $how{password} : $password;
	my $for = defined $how{for} ? $how{for} : 'CURRENT_USER';

	$local->safe_psql($how{db} || 'postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER pool OPTIONS ($list);\n"
		  . "CREATE USER MAPPING FOR $for SERVER $name"
		  . " OPTIONS (user '$user', password '$secret')");
	return;
}

sub session
{
	return PoolTest::Session->new(@_);
}

# sql(node, statement, how): its output; how: db, user
sub sql
{
	my ($node, $statement, %how) = @_;
	my ($code, $out, $err) = _psql($node, $statement, %how);

	die "$statement\nfailed: $err" if $code;
	return $out;
}

# sql_state(node, statement, how): SQLSTATE (00000 if it worked), what came on
# standard error, and the output
sub sql_state
{
	my ($node, $statement, %how) = @_;
	my ($code, $out, $err) = _psql($node, $statement, %how);

	return (PoolTest::Session::state_in($err), $err, $out);
}

sub _psql
{
	my ($node, $statement, %how) = @_;
	my $db = $how{db} || 'postgres';

	return $node->psql(
		$db, $statement,
		connstr => $node->connstr($db)
		  . ($how{user} ? " user=$how{user}" : ''),
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
}

# wait_until(seconds, code): true as soon as the code is, false at the deadline
sub wait_until
{
	my ($seconds, $code) = @_;
	my $deadline = time + $seconds;

	while (1)
	{
		return 1 if $code->();
		return 0 if time > $deadline;
		usleep(20_000);
	}
}

# wait_for_value(node, query, value, what, how): a test; db and seconds in how
sub wait_for_value
{
	my ($node, $query, $value, $what, %how) = @_;
	my ($state, $err, $out);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		$how{seconds} || 10,
		sub {
			($state, $err, $out) = sql_state($node, $query, %how);
			return $state eq '00000' && $out eq $value;
		});
	return is($err ? $err : $out, $value, $what);
}

# stat_of(local, expression, server): of the row of pool_stats
sub stat_of
{
	my ($local, $expression, $server) = @_;

	$server = 'srv' if !defined $server;
	return sql($local,
		"SELECT $expression FROM pool_stats WHERE server = '$server'"
		  . " AND database = 'postgres'");
}

# app_sessions(remote, condition): sessions of role app there
sub app_sessions
{
	my ($remote, $condition) = @_;

	$condition = $condition ? "AND $condition" : '';
	return sql($remote,
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' $condition"
	);
}

sub log_offset
{
	my ($node) = @_;

	return -s $node->logfile;
}

sub log_since
{
	my ($node, $offset) = @_;

	return slurp_file($node->logfile, $offset || 0);
}

sub log_count
{
	my ($node, $pattern, $offset) = @_;
	my $matches = () = log_since($node, $offset) =~ /$pattern/g;

	return $matches;
}

# settled(local, what): soon nothing is under way in any pool, and every lease
# and every connection is accounted for
sub settled
{
	my ($local, $what, $seconds) = @_;
	my $wrong = '';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		$seconds || 10,
		sub {
			$wrong = sql($local, <<'SQL');
WITH stats AS (SELECT s.*, (SELECT sum(value::bigint)
	FROM jsonb_each_text(to_jsonb(s)) WHERE key LIKE 'closed\_%') AS reasons
	FROM pool_stats s)
SELECT row_to_json(stats) FROM stats
WHERE active <> 0 OR waiting <> 0 OR resetting <> 0 OR closing <> 0
	OR connecting <> 0 OR acquires <> releases + lost + active
	OR connects <> closed + open OR open <> active + idle + resetting
	OR closed <> reasons
UNION ALL
SELECT row_to_json(c) FROM pool_connections c
WHERE state NOT IN ('idle') OR pid IS NOT NULL
UNION ALL
SELECT json_build_object('open', s.open, 'shown', c.n)
FROM (SELECT sum(open) AS open FROM pool_stats) s,
	(SELECT count(*) AS n FROM pool_connections) c
WHERE coalesce(s.open, 0) <> c.n
SQL
			return $wrong eq '';
		});
	return is($wrong, '', $what || 'settled, and the sums hold');
}

# remote_count(local, remote, what): the remote has as many sessions as pool
# says, and they are idle
sub remote_count
{
	my ($local, $remote, $what) = @_;
	my ($here, $there, $busy);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		10,
		sub {
			$here = sql($local,
				'SELECT coalesce(sum(open), 0) FROM pool_stats');
			$there = app_sessions($remote);
			$busy = app_sessions($remote, q(state <> 'idle'));
			return $here == $there && $busy == 0;
		});
	return is("$there, $busy busy", "$here, 0 busy",
		$what || 'as many sessions on the remote as pool has open, all idle');
}

# no_crash(node...): nothing died that should not, and no slot went astray
sub no_crash
{
	my (@nodes) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $node (@nodes)
	{
		my @found = grep {
			/PANIC: |TRAP: |terminated by signal|pool slot .* cannot go/
		} split /\n/, slurp_file($node->logfile);

		is(join("\n", @found), '', 'no crash in the log of ' . $node->name);
	}
	return;
}


# A psql session that is fed statement by statement.
package PoolTest::Session;

use strict;
use warnings;

use IPC::Run;
use Time::HiRes qw(time usleep);

# new(node, how): how: db, user, options (for PGOPTIONS)
sub new
{
	my ($class, $node, %how) = @_;
	my $connstr = $node->connstr($how{db} || 'postgres');
	my $self = bless { in => '', out => '', err => '', count => 0 }, $class;

	$connstr .= " user=$how{user}" if $how{user};
	$connstr .= " options='$how{options}'" if $how{options};
	$self->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $connstr ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err});
	$self->{pid} = $self->query('SELECT pg_backend_pid()')->{out};
	die "no session: $self->{last}{err}" if $self->{pid} !~ /^\d+$/;
	return $self;
}

sub pid { return $_[0]->{pid}; }

# state_in(messages): SQLSTATE of the last error
sub state_in
{
	my ($messages) = @_;
	my @states = $messages =~ /(?:ERROR|FATAL|PANIC):\s+([0-9A-Z]{5}): /g;

	return @states ? $states[-1] : $messages =~ /connection to server|server closed/
	  ? 'lost'
	  : '00000';
}

# begin(statements): send them, and do not wait
sub begin
{
	my ($self, $statements) = @_;

	$self->{count}++;
	$self->{started} = time;
	$self->{in} .= "$statements\n;\n\\echo <$self->{count}>\n\\warn <$self->{count}>\n";
	$self->_pump;
	return;
}

# result(seconds): what became of them: out, err, state, secs; state is
# "timeout" if the deadline passed, and "lost" if the session was lost without
# an SQLSTATE
sub result
{
	my ($self, $seconds) = @_;
	my $mark = "<$self->{count}>\n";
	my $deadline = time + ($seconds || 60);
	my $ended = 0;
	my $state;

	while (1)
	{
		my $going = $self->_pump;

		last if $self->{out} =~ /$mark/ && $self->{err} =~ /$mark/;
		if (!$going)
		{
			last if $ended++;
			next;
		}
		if (time > $deadline)
		{
			$state = 'timeout';
			last;
		}
		usleep(3_000);
	}
	my %result = (
		out => $self->{out},
		err => $self->{err},
		secs => time - $self->{started});
	s/$mark//, s/\n\z// for $result{out}, $result{err};
	$result{state} = $state || state_in($result{err});
	$result{state} = 'lost' if $ended && $result{state} eq '00000';
	if (($state || '') ne 'timeout')
	{
		$self->{out} = '';
		$self->{err} = '';
	}
	$self->{last} = \%result;
	return \%result;
}

sub query
{
	my ($self, $statements, $seconds) = @_;

	$self->begin($statements);
	return $self->result($seconds);
}

# busy(): has it not answered yet?  False also when the session was lost.
sub busy
{
	my ($self) = @_;
	my $mark = "<$self->{count}>\n";

	return 0 if !$self->_pump;
	return $self->{out} !~ /$mark/ || $self->{err} !~ /$mark/;
}

# seen(pattern): has that come on standard output since begin()?
sub seen
{
	my ($self, $pattern) = @_;

	$self->_pump;
	return $self->{out} =~ /$pattern/;
}

sub _pump
{
	my ($self) = @_;

	return 0 if !$self->{run};
	local $SIG{PIPE} = 'IGNORE';
	eval { $self->{run}->pump_nb; 1 } or return 0;
	return $self->{run}->pumpable;
}

# quit(): the client ends its session
sub quit
{
	my ($self) = @_;

	return if !$self->{run};
	local $SIG{PIPE} = 'IGNORE';
	$self->{in} .= "\\q\n";
	eval { $self->{run}->finish; };
	delete $self->{run};
	return;
}

# die_now(): the client dies, without a word to the server
sub die_now
{
	my ($self) = @_;

	return if !$self->{run};
	eval { $self->{run}->kill_kill(grace => 0); };
	eval { $self->{run}->finish; };
	delete $self->{run};
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@, $!);

	$self->die_now;
	return;
}

1;
