# 081_stray_messages.pl
#	Notices, notifications and changes of parameters, which a remote may send at any
#	time, around a handover: what was meant for one session, or for nobody, does not
#	reach the next one, be it in one piece or in two with the handover between them.
#	A connection on which something comes while it is idle is not used again.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Proxy;
use PoolTest::TwoSessions;
use PoolTest::Wire;
use Test::More;

# The reset is one command, so that each place in an answer is known.
my ($local, $remote, $proxy, $session) =
  start_two_sessions(srv => { query_timeout => '30s', statement_cache => 0 });
my %stray = (
	notice => report('N', 'NOTICE', '00000', 'stray notice', ''),
	warning => report('N', 'WARNING', '01000', 'stray warning', ''),
	notification => message('A', pack 'N Z* Z*', 4711, 'channel', 'stray notification'),
	parameter => message('S', "DateStyle\0German, DMY\0"));

sub hex_of
{
	my ($bytes) = @_;

	return unpack 'H*', $bytes;
}

# The other session's statement, with what is to happen in it and just after it, and
# then this session's.
sql($local, <<'SQL');
CREATE FUNCTION try(VARIADIC faults text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	came text[];
BEGIN
	IF ask('srv', 'before') <> 'right' THEN
		RETURN 'the session is not served';
	END IF;
	PERFORM proxy('fault ' || f) FROM unnest(faults) f;
	came := ARRAY[other('ask(''srv'', ''other'')'), ask('srv', 'own')];
	RETURN concat_ws(' ', came, wrong('srv'));
END $$;
SQL

# try(faults): what came of it: of the other session, and of this one; the notices
# that this one was shown
sub try
{
	my $list = join ', ', map {"'$_'"} @_;
	my $answer = $session->query("SELECT try($list)");
	my @shown = $answer->{err} =~ /stray \w+/g;

	$answer->{out} .= $answer->{err} if $answer->{state} ne '00000';
	return ($answer->{out}, "@shown");
}

#
# In one piece: before the proof they are dropped, after it they are this session's.
# (What comes between the proof's row and the statement's ParseComplete is dropped
# if libpq has read it together with the row.)
# "before" and "wrong" ask here, too; so a fault is for the first handover after it,
# which is the other session's, and every one for both.
#
$session->query(q(SELECT ask('srv', 'a'), other('ask(''srv'', ''other'')')));
my @answer = messages(last_answer($proxy));
my ($nonce) = grep { $answer[$_] =~ /^D.*pool postgres/s } 0 .. $#answer;
foreach my $kind ('notice', 'notification', 'warning')
{
	my $bytes = hex_of($stray{$kind});
	my (%dropped, %shown);

	foreach my $place (0 .. $#answer)
	{
		my ($came, $shown) = try("every handover remote message $place 0 inject $bytes");

		$dropped{"$came $shown"} .= " $place" if $place <= $nonce;
		$shown{"$came $shown"} .= " $place" if $place > $nonce + 2;
	}
	my $once = $kind eq 'notification' ? '' : "stray $kind";
	is(join('; ', keys %dropped), '{right,right} ', "a $kind before the proof is shown to nobody");
	is(join('; ', keys %shown), "{right,right} $once",
		"a $kind after the proof is the session's own") or diag(join ' ', %shown);
}

# A connection of dblink's functions keeps those that come after the proof, and no others.
sql($local, 'CREATE SCHEMA over; CREATE EXTENSION pool_dblink SCHEMA over');
my %heard;
foreach my $place (0 .. $#answer)
{
	my $fault = "fault handover remote message $place 0 inject " . hex_of($stray{notification});
	my $came = $session->query(<<"SQL")->{out};
SELECT ask('srv', 'before'), other('ask(''srv'', ''other'')');
SELECT proxy('$fault');
SELECT over.dblink_connect('n', 'srv');
SELECT n FROM over.dblink('n', 'select 7') AS r(n int);
SELECT count(*) FROM over.dblink_get_notify('n');
SELECT over.dblink_disconnect('n');
SQL
	# This answer is shorter than the one whose places are counted.
	my ($number, $count) = $came =~ /OK\n(\d+)\n(\d+)\nOK$/;

	$heard{ $place <= $nonce ? 'before' : 'after' }{"$number $count"} .= " $place"
	  if $place <= $nonce || $place > $nonce + 2;
}
is(join(';', keys %{ $heard{before} }), '7 0', "an earlier session's notification is not heard");
like($heard{after}{'7 1'} || '', qr/ \d+ \d+/, "one's own is")
  or diag(join ' ', %{ $heard{after} });

#
# A parameter: rows that may be read wrongly are not shown, and the next session
# finds what is usual.
#
my $german = hex_of($stray{parameter});
foreach my $place (0 .. $#answer)
{
	my ($came) = try("handover remote message $place 0 inject $german");

	is($came, '{55000,right}',
		"a parameter that changes before message $place is no other session's");
}

#
# On an idle connection: it is closed, and the next session has another one.
#
my %idle = (%stray, 'one byte' => 'N', 'half a header' => "N\0\0", 'a row' => $answer[$nonce],
	'an answer' => join('', @answer), 'ReadyForQuery' => $answer[-1]);
foreach my $kind (sort keys %idle)
{
	$session->query(q(SELECT ask('srv', 'a')));
	my $closed = stat_of($local, 'closed');

	tell_proxy($proxy, 'fault now remote ready 0 0 inject ' . hex_of($idle{$kind}));
	my %sent = proxy_report($proxy);
	my $result = $session->query(q(SELECT other('ask(''srv'', ''other'')'), ask('srv', 'own')));
	is($result->{out}, 'right|right', "no session notices that an idle connection was sent: $kind");
	unlike($result->{err}, qr/stray/,
		"no session is shown what an idle connection was sent: $kind");
	cmp_ok(stat_of($local, 'closed'), '>', $closed,
		"an idle connection that was sent something is closed: $kind");
}

#
# In two pieces, after each byte: one with the end of one session's answer, the other
# one in the answer to the next session.  What the second piece begins with can look
# like a message that is long, and never comes.
#
sql($local, q(ALTER SERVER srv OPTIONS (SET query_timeout '1s')));

# try_part(faults): as try(); once more if a statement before the fault was late, as it
# may be on a busy machine
sub try_part
{
	my ($came, $shown);

	foreach (1 .. 3)
	{
		($came, $shown) = try(@_);
		last if $shown ne '' || $came !~ /^\{57014|is not served/;
	}
	return ($came, $shown);
}

my %parted = (%stray,
	'notification with an answer in it' => message('A',
		pack('N Z*', 4711, 'channel') . join('', @answer)));
foreach my $kind (sort keys %parted)
{
	my $bytes = $parted{$kind};
	my %seen;

	foreach my $place (1 .. length($bytes) - 1)
	{
		next if $place > 6 && $place % ($place > 60 ? 11 : 3);
		my ($came, $shown) = try_part(
			'handover remote ready 0 0 inject ' . hex_of(substr $bytes, 0, $place));

		$seen{"$came $shown"}++;
		($came, $shown) = try_part(
			'handover remote ready 0 0 inject ' . hex_of(substr $bytes, 0, $place),
			'every handover remote message 0 0 inject ' . hex_of(substr $bytes, $place));
		$seen{"$came $shown"}++;
	}
	my @odd = grep { $_ !~ /^\{(?:right|08006|55000),(?:right|08006|57014)\} $/ } keys %seen;

	is(join("\n", @odd), '', "a $kind that a handover parts is shown to nobody, and harms nobody");
	note "$kind, $_: $seen{$_} times" foreach sort keys %seen;
}

end_two_sessions($local, $remote, $proxy, $session);

done_testing();
