// libtutti-jit.so: the only file that knows LLVM.
//
//   bitcode ──parse──▶ module ──a caller for each order, the rest internal──▶ O3 ──▶ object ──JITLink──▶ code
//
// A caller copies its view, writes what is known over the copy, and calls the kernel with it. Inlined, the
// copy dissolves into registers and constants. Which instructions may be used is what the kernels' file was
// compiled for; only the order in which they are best issued is this CPU's.
#include <llvm/Analysis/ConstantFolding.h>
#include <llvm/Bitcode/BitcodeReader.h>
#include <llvm/ExecutionEngine/Orc/CompileUtils.h>
#include <llvm/ExecutionEngine/Orc/ExecutionUtils.h>
#include <llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/Module.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/Transforms/IPO/GlobalDCE.h>
#include <llvm/Transforms/IPO/Internalize.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/jit/library.hpp"

namespace tutti::jit {
namespace {

#define TUTTI_BITCODE(name)              \
  extern "C" const char name##_begin[];  \
  extern "C" const char name##_end[];    \
  __asm__(                               \
      ".pushsection .rodata\n"           \
      ".balign 16\n" #name               \
      "_begin:\n"                        \
      ".incbin \"" #name "_bc\"\n" #name \
      "_end:\n"                          \
      ".popsection\n")
TUTTI_BITCODE(trees_kernels_portable);
#if defined(__x86_64__)
TUTTI_BITCODE(trees_kernels_avx2);
TUTTI_BITCODE(trees_kernels_avx512);
#endif

struct Source {
  std::string_view table;
  const char* begin;
  const char* end;
};
constexpr Source kSources[] = {
    {"kPortableKernels", trees_kernels_portable_begin, trees_kernels_portable_end},
#if defined(__x86_64__)
    {"kAvx2Kernels", trees_kernels_avx2_begin, trees_kernels_avx2_end},
    {"kAvx512Kernels", trees_kernels_avx512_begin, trees_kernels_avx512_end},
#endif
};

using Problem = std::string;
const llvm::Align kViewAlignment(8);  // of pointers
constexpr const char* kPrefix = "tutti_tier2_";
using ModuleOr = std::expected<std::unique_ptr<llvm::Module>, Problem>;

Problem told(llvm::Error error) { return llvm::toString(std::move(error)); }

ModuleOr parse(std::string_view table, llvm::LLVMContext& context) {
  for (const Source& source : kSources) {
    if (source.table != table) continue;
    const llvm::MemoryBufferRef bytes({source.begin, static_cast<std::size_t>(source.end - source.begin)},
                                      table);
    auto module = llvm::parseBitcodeFile(bytes, context);
    if (!module) return std::unexpected(told(module.takeError()));
    return std::move(*module);
  }
  return std::unexpected(Problem("no such table of kernels"));
}

/// The function whose address the table holds `slot` bytes in.
llvm::Function* function_at(llvm::Module& module, std::string_view table, std::size_t slot) {
  for (llvm::GlobalVariable& variable : module.globals()) {
    if (!variable.hasInitializer() || !variable.getName().contains(table)) continue;
    const llvm::APInt offset(64, slot);
    llvm::Constant* const loaded = llvm::ConstantFoldLoadFromConst(
        variable.getInitializer(), llvm::PointerType::getUnqual(module.getContext()), offset,
        module.getDataLayout());
    return llvm::dyn_cast_or_null<llvm::Function>(loaded);
  }
  return nullptr;
}

/// A function that calls `kernel` with what is known in place of what it is given.
void add_caller(llvm::Module& module, llvm::Function& kernel, const Order& order, const std::string& name) {
  auto* const caller =
      llvm::Function::Create(kernel.getFunctionType(), llvm::Function::ExternalLinkage, name, module);
  caller->copyAttributesFrom(&kernel);
  llvm::IRBuilder<> build(llvm::BasicBlock::Create(module.getContext(), "", caller));
  auto* const view = build.CreateAlloca(llvm::ArrayType::get(build.getInt8Ty(), order.view_bytes));
  view->setAlignment(kViewAlignment);
  build.CreateMemCpy(view, kViewAlignment, caller->getArg(0), kViewAlignment, order.view_bytes);
  for (const Known& field : order.fields) {
    build.CreateStore(build.getInt32(field.value),
                      build.CreateConstGEP1_32(build.getInt8Ty(), view, field.at));
  }
  llvm::SmallVector<llvm::Value*> arguments{view};
  for (llvm::Argument& argument : llvm::drop_begin(caller->args())) arguments.push_back(&argument);
  for (const Known& known : order.arguments) {
    arguments[known.at] = llvm::ConstantInt::get(arguments[known.at]->getType(), known.value);
  }
  llvm::CallInst* const call = build.CreateCall(&kernel, arguments);
  call->setAttributes(kernel.getAttributes());
  call->addFnAttr(llvm::Attribute::AlwaysInline);
  if (kernel.getReturnType()->isVoidTy()) {
    build.CreateRetVoid();
  } else {
    build.CreateRet(call);
  }
}

/// The passes of a compilation, and what they know.
class Passes {
 public:
  explicit Passes(llvm::TargetMachine& machine) : builder_(&machine, tuning()) {
    builder_.registerModuleAnalyses(modules_);
    builder_.registerCGSCCAnalyses(components_);
    builder_.registerFunctionAnalyses(functions_);
    builder_.registerLoopAnalyses(loops_);
    builder_.crossRegisterProxies(loops_, functions_, components_, modules_);
  }

  /// Takes away what no caller uses.
  void prune(llvm::Module& module) {
    llvm::ModulePassManager passes;
    passes.addPass(llvm::InternalizePass(
        [](const llvm::GlobalValue& value) { return value.getName().starts_with(kPrefix); }));
    passes.addPass(llvm::GlobalDCEPass());
    passes.run(module, modules_);
  }
  /// Follows what is known through a caller.
  void simplify(llvm::Function& caller) {
    llvm::FunctionPassManager passes;
    passes.addPass(llvm::EarlyCSEPass());
    passes.addPass(llvm::InstCombinePass());
    passes.addPass(llvm::SimplifyCFGPass());
    functions_.invalidate(caller, passes.run(caller, functions_));
  }
  void optimise(llvm::Module& module) {
    builder_.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules_);
  }
  void forget(llvm::Function& function) { functions_.clear(function, function.getName()); }

 private:
  static llvm::PipelineTuningOptions tuning() {
    llvm::PipelineTuningOptions options;
    options.InlinerThreshold = 2000;  // a view that is not inlined is a view whose numbers are not known
    return options;
  }

  llvm::LoopAnalysisManager loops_;
  llvm::FunctionAnalysisManager functions_;
  llvm::CGSCCAnalysisManager components_;
  llvm::ModuleAnalysisManager modules_;
  llvm::PassBuilder builder_;
};

/// Inlines what `caller` calls and must be inlined, one level. Says whether there was any.
bool inline_one_level(llvm::Function& caller) {
  llvm::SmallVector<llvm::CallBase*> calls;
  for (llvm::Instruction& instruction : llvm::instructions(caller)) {
    auto* const call = llvm::dyn_cast<llvm::CallBase>(&instruction);
    if (call != nullptr && call->getCalledFunction() != nullptr &&
        !call->getCalledFunction()->isDeclaration() && call->hasFnAttr(llvm::Attribute::AlwaysInline)) {
      calls.push_back(call);
    }
  }
  for (llvm::CallBase* const call : calls) {
    llvm::InlineFunctionInfo info;
    llvm::InlineFunction(*call, info, /*MergeAttributes=*/true);
  }
  return !calls.empty();
}

/// From callers to code worth running. What is known is followed level by level before anything else is done:
/// most of the kernels is for other models, and what is never optimised takes no time.
void optimise(llvm::Module& module, llvm::TargetMachine& machine) {
  const std::string cpu = llvm::sys::getHostCPUName().str();
  Passes passes(machine);
  passes.prune(module);
  for (llvm::Function& function : module) {
    if (function.isDeclaration()) continue;
    function.addFnAttr("tune-cpu", cpu);
    if (!function.getName().starts_with(kPrefix)) continue;
    while (inline_one_level(function)) {
      passes.forget(function);
      passes.simplify(function);
    }
  }
  passes.prune(module);
  passes.optimise(module);
}

/// One for the life of the process: it owns the code.
llvm::Expected<llvm::orc::LLJIT*> linker() {
  static std::unique_ptr<llvm::orc::LLJIT> one;
  if (one) return one.get();
  auto made = llvm::orc::LLJITBuilder().create();
  if (!made) return made.takeError();
  auto process = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
      (*made)->getDataLayout().getGlobalPrefix());
  if (!process) return process.takeError();
  (*made)->getMainJITDylib().addGenerator(std::move(*process));
  one = std::move(*made);
  return one.get();
}

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> target_machine() {
  auto builder = llvm::orc::JITTargetMachineBuilder::detectHost();
  if (!builder) return builder.takeError();
  builder->setCodeGenOptLevel(llvm::CodeGenOptLevel::Aggressive);
  builder->setRelocationModel(llvm::Reloc::PIC_);
  return builder->createTargetMachine();
}

/// From names to code.
llvm::Error link(std::unique_ptr<llvm::MemoryBuffer> object, const std::vector<std::string>& names,
                 Code& code) {
  auto jit = linker();
  if (!jit) return jit.takeError();
  code.bytes = object->getBufferSize();
  if (auto error = (*jit)->addObjectFile(std::move(object))) return error;
  for (const std::string& name : names) {
    auto address = (*jit)->lookup(name);
    if (!address) return address.takeError();
    code.functions.push_back(address->toPtr<void*>());
  }
  return llvm::Error::success();
}

Problem compile_all(std::string_view table, std::span<const Order> orders, Code& code) {
  static const bool begun = !llvm::InitializeNativeTarget() && !llvm::InitializeNativeTargetAsmPrinter() &&
                            !llvm::InitializeNativeTargetAsmParser();
  if (!begun) return "LLVM does not know this processor";
  llvm::LLVMContext context;
  ModuleOr module = parse(table, context);
  if (!module) return module.error();
  auto machine = target_machine();
  if (!machine) return told(machine.takeError());
  (*module)->setDataLayout((*machine)->createDataLayout());

  static std::uint64_t serial = 0;
  std::vector<std::string> names;
  for (const Order& order : orders) {
    llvm::Function* const kernel = function_at(**module, table, order.slot);
    if (kernel == nullptr) return "its table of kernels has no function there";
    names.push_back(kPrefix + std::to_string(++serial));
    add_caller(**module, *kernel, order, names.back());
  }
  optimise(**module, **machine);
  auto object = llvm::orc::SimpleCompiler(**machine)(**module);
  if (!object) return told(object.takeError());
  if (llvm::Error error = link(std::move(*object), names, code)) return told(std::move(error));
  return {};
}

}  // namespace
}  // namespace tutti::jit

void tutti_jit_compile(std::string_view table, std::span<const tutti::jit::Order> orders,
                       tutti::jit::Code& code, std::string& problem) {
  problem = tutti::jit::compile_all(table, orders, code);
}
