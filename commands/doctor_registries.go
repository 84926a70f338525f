package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ndock/openstack/doctor"
	"ndock/registry/trust"
)

// examineRegistries is a check beside the cloud's: the registries of ndock's that Docker on this host trusts. There is
// no finding where it trusts none.
func examineRegistries(ctx context.Context, certsDir string, timeout time.Duration, now time.Time) []doctor.Finding {
	finding := doctor.Finding{Check: "registries", State: doctor.OK}
	all, err := trust.Find(ctx, certsDir, timeout)
	if err != nil {
		finding.State, finding.Detail = doctor.Unknown, err.Error()
		return []doctor.Finding{finding}
	}
	if len(all) == 0 {
		return nil
	}
	var details []string
	for _, one := range all {
		what, fix := one.Warning(now)
		switch {
		case what != "":
			finding.State, finding.Fix = doctor.Warning, fix
		case one.Expires.IsZero():
			what = fmt.Sprintf("%s does not answer: %v", one, one.Err)
			if finding.State == doctor.OK {
				finding.State = doctor.Unknown
			}
		default:
			what = fmt.Sprintf("%s shows a certificate until %s", one, one.Expires.Format(time.DateOnly))
		}
		details = append(details, what)
	}
	finding.Detail = strings.Join(details, "; ")
	return []doctor.Finding{finding}
}
