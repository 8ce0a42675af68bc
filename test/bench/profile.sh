# shellcheck shell=bash
profile_all()
{
	:
}
