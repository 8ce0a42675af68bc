# 125_stale_twice.pl
#	What the pool does twice at most: a remote that says of everything that it is out
#	of date is asked by name once, and once by the text; and two connections in a row
#	that have lost what was prepared on them do not fail a statement, nor execute it
#	twice.
#
# Runs in the plain round only.
# Needs statement_cache.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::HostileServer;
use PoolTest::Prepared;
use PoolTest::Wire;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $cache = PoolTest::Prepared->new($local, $remote);
my ($one, $two, $three) = map { session($local) } 1 .. 3;

#
# 0A000 for ever: once a statement is sent by name, this remote has only that answer to
# it.  It notes how the statement came.
#
my $notes = "$PostgreSQL::Test::Utils::tmp_check/notes";
my $outdated = report('E', 'ERROR', '0A000', 'cached plan must not change result type',
	"Fplancache.c\0L1\0RRevalidateCachedQuery\0");

# answer_all(messages, texts): good answers; texts are those of what is prepared
sub answer_all
{
	my ($asked, $texts) = @_;
	my ($answer, $sql, $param) = ('', '');

	foreach my $message (@$asked)
	{
		my ($type, $first, $second) = unpack 'a x4 Z* Z*', $message;
		my $rows = $sql =~ /^select/i;

		if ($type eq 'P')
		{
			$texts->{$first} = $second;
			$answer .= message('1', '');
		}
		elsif ($type eq 'B')
		{
			my $rest = substr $message, 5 + length("$first\0$second\0");
			my $formats = unpack 'n', $rest;

			$sql = $texts->{$second} // '';
			my ($count, $length) = unpack 'n N', substr $rest, 2 + 2 * $formats;
			$param = $count ? substr $rest, 8 + 2 * $formats, $length : undef;
			$answer .= message('2', '');
		}
		$answer .= $rows ? columns('a') : message('n', '') if $type eq 'D';
		$answer .= message('Z', 'I') if $type eq 'S';
		next if $type ne 'E';
		my ($nonce) = $sql =~ /set_config\('application_name', '([^']*)'/;
		$nonce //= $param if $sql =~ /set_config\('application_name', \$1/;
		$answer .= ($rows ? row($nonce // 'done') : '')
		  . complete($sql =~ /^discard all/i ? 'DISCARD ALL' : 'SELECT 1');
	}
	return $answer;
}

my $port = start_hostile_server(
	far => sub {
		my ($c) = @_;
		my (%texts, $stale);

		$c->let_in;
		while (my @asked = $c->ask)
		{
			my ($named) = map { (unpack 'x5 Z* Z*', $_)[1] } grep { /^B/ } @asked[ -4 .. -1 ];
			my $parsed = grep { /^P.*select 'again'/s } @asked;
			my $own = $parsed || ($texts{ $named // '' } // '') =~ /select 'again'/;

			$stale = 1 if $own && !$parsed;
			append_to_file($notes, $parsed ? "text\n" : "name\n") if $own;
			if ($own && $stale)
			{
				$c->put($outdated, message('Z', 'I'));
			}
			else
			{
				$c->put(answer_all(\@asked, \%texts));
			}
		}
	});
create_server($local, 'stale', $remote, options => { max_size => 1, port => $port,
	validate_after_idle => '1h', health_check_interval => 0 });

my @answers;
foreach (1 .. 10)
{
	push @answers, $one->query(q(SELECT t FROM pool_query('stale', 'select ''again''') AS r(t text)), 60);
	last if $answers[-1]{state} ne '00000';
}
is($answers[-1]{state}, '0A000', 'a remote that says 0A000 for ever is believed in the end')
  or diag($answers[-1]{err});
is(join(' ', (split /\n/, slurp_file($notes))[ -2, -1 ]), 'name text',
	'it was asked by name, and then by the text, once');
is(scalar(grep { /name/ } split /\n/, slurp_file($notes)), 1, 'by name just once');
my $before = () = slurp_file($notes) =~ /text/g;
is($one->query(q(SELECT t FROM pool_query('stale', 'select ''again''') AS r(t text)), 60)->{state},
	'0A000', 'the next time it says the same');
my $after = () = slurp_file($notes) =~ /text/g;
is($after - $before, 1, 'to one question');

#
# Two connections have lost what was prepared
#
$remote->safe_psql('far', <<'SQL', connstr => $remote->connstr('far') . ' user=app');
CREATE TABLE calls (what text);
CREATE FUNCTION run_it(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE what;
	RETURN pg_backend_pid();
END $$;
SQL

sub calls
{
	return $remote->safe_psql('far', 'SELECT count(*) FROM calls',
		connstr => $remote->connstr('far') . ' user=app');
}
$cache->server('pair', max_size => 2, acquire_timeout => '60s');
my $gate = session($remote, db => $PoolTest::remote_db);
$cache->attempt(
	'a statement that meets two connections which have lost all is executed once', sub {
		my $text = $cache->text(q(with y as (insert into calls values ($1)) select %d));
		my %pids;

		sql($local, q(ALTER SERVER pair OPTIONS (SET max_size '2')));
		$cache->start('pair');
		$cache->run($one, 'pair', "$text, 'a'::text", 3);

		# Meanwhile the first one is busy, without being left in need of a reset.
		$gate->query('SELECT pg_advisory_lock(1)');
		$one->begin(q(SELECT t FROM pool_query('pair',
			'select 1 from pg_advisory_xact_lock(1)') AS r(t int)));
		wait_for_remote_statement($remote, 'one session is at work');
		$cache->run($two, 'pair', "$text, 'a'::text", 3);
		$gate->query('SELECT pg_advisory_unlock(1)');
		$one->result;
		$cache->seen('pair') =~ /[1-9] hits|[2-9] parses/ or return;
		$pids{ $cache->run($_, 'pair', q('select run_it($1)', 'deallocate all'::text)) }++
		  foreach $one, $two;
		return if keys %pids != 2;

		my $lost = $cache->count('invalidations', 'pair');
		my $calls = calls();
		my $found = $cache->run($three, 'pair', "$text, 'b'::text");
		$cache->must($found . ', ' . (calls() - $calls) . ' calls', $cache->number . ', 1 calls');
		return $cache->count('invalidations', 'pair') == $lost + 1;
	});

$_->quit foreach $one, $two, $three, $gate;
stop_hostile_servers();
no_crash($local, $remote);
done_testing();
