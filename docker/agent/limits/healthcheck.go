package limits

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/versions"

	"ndock/docker/agent/config"
)

// What an image's HEALTHCHECK may ask for beside its interval. Docker starts and stops each check in processes of its own,
// which no server's limits hold.
const (
	healthcheckTimeoutMin = time.Second
	healthcheckTimeoutMax = 10 * time.Minute
	healthcheckStartMax   = time.Hour
	healthcheckRetriesMax = 100
)

// healthcheckNone is Docker's word for a container without health checks.
const healthcheckNone = "NONE"

// Docker's own intervals where an image asks for none: in general, and during the start period.
const (
	healthcheckInterval      = 30 * time.Second
	healthcheckStartInterval = 5 * time.Second
)

// ErrHealthcheckUser is for a health check that is left out because the server has a user, be it root, a name or a number: Docker
// Engine then opens the server's /etc/passwd and /etc/group for each check, from outside. Meanwhile processes run that can put
// a FIFO there, or a link, or a sparse file of any size.
var ErrHealthcheckUser = errors.New("the image's HEALTHCHECK is not run: it is for servers without a user of their own (USER, or user data)")

// Healthcheck returns the image's health check for a server that is to run as a user, or as the image's, as the operator allows
// it, or nil for none. Docker fills in from the image what is zero. An API before 1.44 has no interval for the start period.
func Healthcheck(from image.InspectResponse, user string, operators config.Config, api string) (check *container.HealthConfig, leftOut error) {
	if from.Config == nil || from.Config.Healthcheck == nil {
		return nil, nil
	}
	wanted := *from.Config.Healthcheck
	if !operators.Healthcheck {
		return &container.HealthConfig{Test: []string{healthcheckNone}}, nil
	}
	if slices.Equal(wanted.Test, []string{healthcheckNone}) {
		return &wanted, nil
	}
	if cmp.Or(user, from.Config.User) != "" {
		return &container.HealthConfig{Test: []string{healthcheckNone}}, ErrHealthcheckUser
	}
	least := time.Duration(operators.HealthcheckMin) * time.Second
	const most = 24 * time.Hour
	wanted.Interval = between(cmp.Or(wanted.Interval, healthcheckInterval), least, most)
	wanted.StartInterval = between(cmp.Or(wanted.StartInterval, healthcheckStartInterval), least, most)
	if versions.LessThan(api, "1.44") {
		wanted.StartInterval = 0
	}
	wanted.Timeout = between(wanted.Timeout, healthcheckTimeoutMin, healthcheckTimeoutMax)
	wanted.StartPeriod = between(wanted.StartPeriod, 0, healthcheckStartMax)
	wanted.Retries = max(0, min(wanted.Retries, healthcheckRetriesMax))
	return &wanted, nil
}

// between brings a duration into a range; 0 stays, which is Docker's default.
func between(wanted, least, most time.Duration) time.Duration {
	if wanted == 0 {
		return 0
	}
	return max(least, min(wanted, most))
}
