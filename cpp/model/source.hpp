// A column as the caller holds it: any numeric type, any stride, not copied until the model sorts its rows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace multilevel::model {

struct Source {
  enum class Type { one, f64, f32, i64, i32, i16, i8, u8 };

  Type type = Type::one;  ///< `one`: the constant 1, the intercept
  const char* data = nullptr;
  std::ptrdiff_t stride = 0;  ///< in bytes

  template <class T>
  double at(std::int64_t row) const {
    return static_cast<double>(*reinterpret_cast<const T*>(data + row * stride));
  }
};

/// Calls visitor.template operator()<T>() with the type of the column's numbers.
template <class Visitor>
void visit_type(Source::Type type, Visitor&& visitor) {
  switch (type) {
    case Source::Type::f64:
      visitor.template operator()<double>();
      break;
    case Source::Type::f32:
      visitor.template operator()<float>();
      break;
    case Source::Type::i64:
      visitor.template operator()<std::int64_t>();
      break;
    case Source::Type::i32:
      visitor.template operator()<std::int32_t>();
      break;
    case Source::Type::i16:
      visitor.template operator()<std::int16_t>();
      break;
    case Source::Type::i8:
      visitor.template operator()<std::int8_t>();
      break;
    case Source::Type::u8:
      visitor.template operator()<std::uint8_t>();
      break;
    case Source::Type::one:
      break;
  }
}

}  // namespace multilevel::model
