package doctor

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ndock/openstack"
)

// mostServers is how many of the newest servers of a status are looked at.
const mostServers = 5

// servers looks for the project's newest server that could not be booted, and says why. What is wrong may be past, so it is
// a warning.
func servers(ctx context.Context, x *examination) Finding {
	failed, err := x.failedServers(ctx)
	if err != nil {
		return unanswered(err)
	}
	if len(failed) == 0 {
		return well("of the newest servers, none is in ERROR or has ended at once")
	}
	newest, err := x.cloud.Server(ctx, failed[0].ID) // in its list Nova leaves the faults of some out
	if err != nil {
		return unanswered(err)
	}
	why := x.diagnose(ctx, newest)
	detail := fmt.Sprintf("%s failed: %s", newest.Name, message(newest))
	if why.means != "" {
		detail += "; " + why.means
	}
	var others []string
	for _, one := range failed[1:] {
		others = append(others, one.Name)
	}
	if len(others) > 0 {
		detail += fmt.Sprintf("; before that, %s failed", openstack.Abbreviate(others))
	}
	return doubtful(why.fix, "%s", detail)
}

// failedServers are those in ERROR, and those whose process ended at once, the newest first.
func (x *examination) failedServers(ctx context.Context) ([]openstack.Server, error) {
	failed, err := x.cloud.NewestServers(ctx, "ERROR", mostServers)
	if err != nil {
		return nil, err
	}
	off, err := x.cloud.NewestServers(ctx, "SHUTOFF", mostServers)
	if err != nil {
		return nil, err
	}
	for _, server := range off {
		ended, err := x.cloud.EndedAtOnce(ctx, server)
		if err != nil {
			return nil, err
		}
		if ended {
			failed = append(failed, server)
		}
	}
	slices.SortStableFunc(failed, func(a, b openstack.Server) int { return b.Created.Compare(a.Created) })
	return failed, nil
}

// message is what Nova says of a server, without what it puts before the reason, and not longer than a line or three.
func message(server openstack.Server) string {
	if server.Status != "ERROR" {
		return "its process ended at once"
	}
	text := regexp.MustCompile(`^Build of instance \S+ (aborted|was re-scheduled): |\bImage \S+ is unacceptable: `).ReplaceAllString(server.Fault, "")
	text = strings.TrimRight(text, ". ")
	const longest = 300
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	if text == "" {
		return "Nova does not say why"
	}
	return text
}
