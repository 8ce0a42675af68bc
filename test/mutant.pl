# mutant.pl check NAME... | test NAME... | round NAME | apply NAME
#	Read the files of test/mutants, for mutants.sh.  Run from the top of the tree.
#
# check looks whether each says what it must: its text is in its file exactly
# once and is not what takes its place, and its tests exist.  test and round print
# what they name; apply puts the mutant into the source.

use strict;
use warnings;

# The file's parts: guard, file, test, round, original, mutant.
sub read_mutant
{
	my ($name) = @_;
	my $path = "test/mutants/$name.mutant";
	my %mutant = (round => 'plain');

	my ($head, $original, $text) = (slurp($path) =~
		/\A(.*?)^--- original\n(.*?)^--- mutant\n(.*)\z/ms)
	  or die "it has not the three parts\n";
	for my $line (split /\n/, $head)
	{
		my ($key, $value) = ($line =~ /^(guard|file|test|round): +(\S.*?)\s*$/)
		  or die "it has the line: $line\n";
		$mutant{$key} = $value;
	}
	for my $key (qw(guard file test))
	{
		die "it names no $key\n" unless defined $mutant{$key};
	}
	die "it names no round that there is\n"
	  unless $mutant{round} =~ /^(plain|tls)$/;
	return { %mutant, original => $original, mutant => $text };
}

sub slurp
{
	my ($path) = @_;

	open my $file, '<', $path or die "$path: $!\n";
	local $/ = undef;
	return scalar <$file>;
}

# Where the text begins in its file; dies unless it is there exactly once, in
# whole lines.
sub find_text
{
	my ($mutant, $source) = @_;
	my @found;

	die "its original is empty\n" if $mutant->{original} !~ /\S/;
	die "it changes nothing\n" if $mutant->{original} eq $mutant->{mutant};
	for (my $at = -1;
		($at = index($source, $mutant->{original}, $at + 1)) >= 0;)
	{
		push @found, $at if $at == 0 || substr($source, $at - 1, 1) eq "\n";
	}
	die sprintf("its original is in %s %d times\n", $mutant->{file}, scalar @found)
	  if @found != 1;
	return $found[0];
}

# Dies unless the name is that of one test, which the mutant's round has.
sub check_test
{
	my ($mutant, $test) = @_;
	my @files = grep { -e } "sql/$test.sql", "test/isolation/specs/$test.spec", "test/t/$test.pl";

	die "there is no test $test\n" if @files == 0;
	die "there is more than one test $test\n" if @files > 1;
	die "$test has no tls round\n"
	  if $mutant->{round} eq 'tls'
	  && slurp($files[0]) =~ /^# Runs in the plain round only\.$/m;
	return;
}

sub check
{
	my ($name) = @_;
	my $mutant = read_mutant($name);

	find_text($mutant, slurp($mutant->{file}));
	check_test($mutant, $_) for split ' ', $mutant->{test};
	return;
}

sub apply
{
	my ($name) = @_;
	my $mutant = read_mutant($name);
	my $source = slurp($mutant->{file});

	substr($source, find_text($mutant, $source), length $mutant->{original}) =
	  $mutant->{mutant};
	open my $file, '>', $mutant->{file} or die "$mutant->{file}: $!\n";
	print $file $source;
	close $file or die "$mutant->{file}: $!\n";
	return;
}

my ($command, @names) = @ARGV;
my %commands = (
	check => \&check,
	apply => \&apply,
	test => sub { print read_mutant($_[0])->{test}, "\n" },
	round => sub { print read_mutant($_[0])->{round}, "\n" });
my $bad = 0;

for my $name (@names)
{
	next if eval { $commands{$command}->($name); 1 };
	print STDERR "mutant $name: $@";
	$bad = 1;
}
exit $bad;
