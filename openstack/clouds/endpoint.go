package clouds

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// Locator returns what finds the endpoint of a service as openstacksdk does: where an override says, else in the catalogue, by
// what is said of this service. It does not ask the service for its versions, which a proxy may hide: releases that
// ndock works with have those that it needs.
func (l Login) Locator(catalogue gophercloud.EndpointLocator, ids func() map[string]string) gophercloud.EndpointLocator {
	return func(options gophercloud.EndpointOpts) (string, error) {
		service := options.Type
		if override := l.services.text(service+"_endpoint_override", service+"_endpoint"); override != "" {
			return Versioned(service, expandIDs(l.services.expanded(override), ids())), nil
		}
		options.Version = 0
		options.Type = cmp.Or(l.services.text(service+"_service_type"), service)
		options.Name = l.services.text(service + "_service_name")
		options.Region = cmp.Or(l.services.text(service+"_region_name"), options.Region)
		if wanted := l.services.text(service+"_interface", service+"_endpoint_type"); wanted != "" {
			own, err := availability(wanted)
			if err != nil {
				return "", fmt.Errorf("%s_%w", service, err)
			}
			options.Availability = own
		}
		url, err := catalogue(options)
		return Versioned(service, url), err
	}
}

var (
	anyVersion   = regexp.MustCompile(`/v\d+(\.\d+)?/*$`)
	novasVersion = regexp.MustCompile(`/v2(\.\d+)?(/[^/]+)?/*$`)
	idInURL      = regexp.MustCompile(`[%$]\((\w+)\)s`)
)

// Versioned returns an endpoint as gophercloud wants it: without a version for Glance and Neutron, to which it adds
// one, and with Nova's. Clouds have them with and without.
func Versioned(service, url string) string {
	switch service {
	case "image", "network":
		url = anyVersion.ReplaceAllString(url, "/")
	case "compute":
		if match := novasVersion.FindStringSubmatch(url); match != nil {
			url = novasVersion.ReplaceAllString(url, "/v2.1"+match[2])
		} else if url != "" {
			url = strings.TrimRight(url, "/") + "/v2.1"
		}
	}
	if url == "" {
		return ""
	}
	return gophercloud.NormalizeURL(url)
}

// expandIDs puts the ids of project and user where %(project_id)s and its like stand.
func expandIDs(url string, ids map[string]string) string {
	return idInURL.ReplaceAllStringFunc(url, func(name string) string {
		return cmp.Or(ids[idInURL.FindStringSubmatch(name)[1]], name)
	})
}
