// `millrace config`: every setting with its value, where that comes from, unit and meaning.
#pragma once

#include <string>

#include "broker/model/broker_settings.h"

namespace millrace::server {

/// As an aligned table for people, or as a JSON array for scripts.
std::string settings_as_table(const model::ConfigMap& config);
std::string settings_as_json(const model::ConfigMap& config);

}  // namespace millrace::server
