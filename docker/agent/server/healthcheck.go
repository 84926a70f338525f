package server

import (
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent/config"
)

// What an image's HEALTHCHECK may ask for beside its interval. Docker starts each check, and stops it, in processes of
// its own, which no server's limits hold.
const (
	healthcheckTimeoutMin = time.Second
	healthcheckTimeoutMax = 10 * time.Minute
	healthcheckStartMax   = time.Hour
	healthcheckRetriesMax = 100
)

// healthcheckOf is the image's, as the operator allows it, or none. Docker fills in from the image what is zero.
func healthcheckOf(from image.InspectResponse, rules config.Config) *container.HealthConfig {
	if from.Config == nil || from.Config.Healthcheck == nil {
		return nil
	}
	wanted := *from.Config.Healthcheck
	if !rules.Healthcheck {
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	least := time.Duration(rules.HealthcheckMin) * time.Second
	const most = 24 * time.Hour
	wanted.Interval = between(wanted.Interval, least, most)
	wanted.StartInterval = between(wanted.StartInterval, least, most)
	wanted.Timeout = between(wanted.Timeout, healthcheckTimeoutMin, healthcheckTimeoutMax)
	wanted.StartPeriod = between(wanted.StartPeriod, 0, healthcheckStartMax)
	wanted.Retries = max(0, min(wanted.Retries, healthcheckRetriesMax))
	return &wanted
}

// between leaves 0 alone, which is for Docker's own default.
func between(wanted, least, most time.Duration) time.Duration {
	if wanted == 0 {
		return 0
	}
	return max(least, min(wanted, most))
}
