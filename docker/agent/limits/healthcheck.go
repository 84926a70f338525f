package limits

import (
	"cmp"
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

// Docker's own intervals where an image asks for none: in general, and during the start period.
const (
	healthcheckInterval      = 30 * time.Second
	healthcheckStartInterval = 5 * time.Second
)

// Healthcheck returns the image's health check, as the operator allows it, or nil for none. Docker fills in from the image
// what is zero. An API before 1.44 has no interval for the start period.
func Healthcheck(from image.InspectResponse, operators config.Config, api string) *container.HealthConfig {
	if from.Config == nil || from.Config.Healthcheck == nil {
		return nil
	}
	wanted := *from.Config.Healthcheck
	if !operators.Healthcheck {
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	if slices.Equal(wanted.Test, []string{"NONE"}) {
		return &wanted
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
	return &wanted
}

// between brings a duration into a range; 0 stays, which is Docker's default.
func between(wanted, least, most time.Duration) time.Duration {
	if wanted == 0 {
		return 0
	}
	return max(least, min(wanted, most))
}
