// A task's document as a location serves it: in the location's dialect, with or without the identity of its creator.
#pragma once

#include "common/domain/task_status.hpp"
#include "module/tables/task_table.hpp"

#include <array>
#include <string_view>

namespace rollout {

struct document_form {
    dialect words = dialect::standard;
    bool identity = true; ///< includes `created_by`
};

/// Cuts the document into the pieces, in order, that make up the served one; some may be empty. They point into the
/// document, or are literals.
std::array<std::string_view, 4> serve_document(const task_record &task, const document_form &form) noexcept;

} // namespace rollout
