#include "operator/resources/object.h"

#include <utility>

#include "operator/resources/names.h"

namespace millrace::resources {

Json child(const ManifestRequest& request, std::string_view api_version, std::string_view kind,
           std::string name) {
  const Identity& cluster = request.cluster;
  return {{"apiVersion", api_version},
          {"kind", kind},
          {"metadata",
           {{"name", std::move(name)},
            {"namespace", cluster.space},
            {"labels", child_labels(cluster.name)},
            {"ownerReferences", Json::array({{{"apiVersion", kApiVersion},
                                              {"kind", kClusterKind},
                                              {"name", cluster.name},
                                              {"uid", cluster.uid},
                                              {"controller", true},
                                              {"blockOwnerDeletion", true}}})}}}};
}

}  // namespace millrace::resources
