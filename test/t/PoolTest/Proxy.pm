# Proxy.pm
#	A process between pool and a remote that knows the protocol and does to what
#	passes what it is told: test/proxy, which is built here.  Encryption is refused,
#	or it could not read.
#
# What it can be told is a line that begins with one of
#
#	fault [every] WHEN WHOSE PLACE N OFFSET WHAT [ARGUMENT]
#		WHEN	connect, exchange, handover, unproven: given to the connection that next
#				begins, asks something, proves a handover, asks without that (every:
#				not only the next time); now: to all at once, where they are
#		WHOSE	client or remote: whose bytes
#		PLACE	byte N (OFFSET 0): after so many bytes from then on (of a connection
#				that begins: in all); message N OFFSET: so far into a message;
#				ready 0 0: after the ReadyForQuery that ends what was asked
#		WHAT	cut, reset, split, delay (milliseconds), drip, inject (hexadecimal
#				digits), stale (the last answer to a handover, but so many bytes of
#				its end), garbage (bytes), length (what is added to the message's),
#				swallow
#	clear, random SEED PERCENT, cancels pass|hold|drop|release
#		see test/proxy/proxy.c
#
# All that is sent after tell_proxy() finds it obeyed; and so in SQL, with the
# function that create_proxy_control() makes, which does not need this process.

package PoolTest::Proxy;

use strict;
use warnings;

use Exporter qw(import);
use FindBin;
use IPC::Open2 qw(open2);
use POSIX ();
use PoolTest::Sql;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  start_proxy tell_proxy proxy_report last_answer stop_proxy create_proxy_control
);

my $program;

# start_proxy(remote): lets all pass, at its {port}
sub start_proxy
{
	my ($remote) = @_;
	my $proxy = {};

	$program ||= _build();
	$proxy->{fifo} = PostgreSQL::Test::Utils::tempdir_short() . '/control';
	POSIX::mkfifo($proxy->{fifo}, 0600) or die "cannot make a FIFO: $!";
	$proxy->{pid} =
	  open2($proxy->{out}, $proxy->{in}, $program, $remote->port, $proxy->{fifo});
	$proxy->{port} = _line($proxy);
	open $proxy->{control}, '>>', $proxy->{fifo} or die "cannot open a FIFO: $!";
	$proxy->{control}->autoflush(1);
	return $proxy;
}

sub _build
{
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my @sources = glob "$FindBin::RealBin/../proxy/*.c";

	system_or_bail('cc', '-O2', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE', '-o',
		"$dir/proxy", @sources);
	return "$dir/proxy";
}

sub _line
{
	my ($proxy) = @_;
	my $line = readline $proxy->{out};

	die 'the proxy has ended' if !defined $line;
	chomp $line;
	return $line;
}

# tell_proxy(proxy, line...): from now on it is so
sub tell_proxy
{
	my ($proxy, @lines) = @_;

	print { $proxy->{control} } "$_\n" foreach @lines;
	return;
}

# proxy_report(proxy): its counters, by name
sub proxy_report
{
	my ($proxy) = @_;

	tell_proxy($proxy, 'report');
	return map { /^(.*) (\d+)$/ ? ($1, $2) : die $_ } split /, /, _line($proxy);
}

# last_answer(proxy): what the remote answered to the last handover
sub last_answer
{
	my ($proxy) = @_;

	tell_proxy($proxy, 'last');
	return pack 'H*', _line($proxy);
}

# stop_proxy(proxy): cuts what there is
sub stop_proxy
{
	my ($proxy) = @_;

	close $proxy->{$_} foreach 'in', 'control', 'out';
	waitpid $proxy->{pid}, 0;
	return;
}

# create_proxy_control(local, proxy): the SQL function proxy(line)
sub create_proxy_control
{
	my ($local, $proxy) = @_;

	sql($local, <<"SQL");
CREATE FUNCTION proxy(line text) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	EXECUTE format('COPY (SELECT %L) TO %L', line, '$proxy->{fifo}');
END \$\$;
SQL
	return;
}

1;
